// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Dialing
import Foundation
import Selection
import TestBasics
import TestSupport
import Testing

/// One campaign, trunk or request whose statement always fails is put aside alone; the others go on.
@Suite(.timeLimit(.minutes(20)))
struct PutAsideTests {
    private static func claimed(_ house: House, _ campaign: String) async throws -> Int {
        try await house.scratch.value(
            """
            select count(*) from contacts c join campaigns k on k.id = c.campaign_id
            where c.state = 'in_progress' and k.name = $1
            """,
            [campaign],
            as: Int.self
        )
    }

    private static let faults: [(sql: [String], mend: String, words: String, isOfSomeContacts: Bool)] = [
        // As a host that no longer has tzdata-legacy, which this one may have.
        (
            ["update campaigns set time_zone = 'US/Nowhere' where name = 'bad'"],
            "update campaigns set time_zone = 'UTC' where name = 'bad'", "US/Nowhere", true
        ),
        (
            ["update campaigns set number_limits = '[{\"attempts\": \"many\", \"hours\": 1}]' where name = 'bad'"],
            "update campaigns set number_limits = '[]' where name = 'bad'", "invalid input syntax", false
        ),
        (
            [
                """
                create function refuse() returns trigger language plpgsql as $$
                begin
                    if exists (select from campaigns where id = new.campaign_id and name = 'bad') then
                        raise exception 'not this one';
                    end if;
                    return new;
                end $$
                """,
                "create trigger refuse before update on contacts for each row execute function refuse()",
            ],
            "drop trigger refuse on contacts", "not this one", false
        ),
    ]

    /// Lets a campaign's time come again and again.
    /// - Returns: How long it was put aside each time, in seconds, by the clock of the statement that did it.
    private static func pauses(_ house: House, _ selector: Selector, _ count: Int) async throws -> String {
        for statement in [
            "create table pauses (number serial, seconds int)",
            """
            create function note_pause() returns trigger language plpgsql as $$
            begin
                insert into pauses (seconds) values (extract(epoch from new.retry_at - now()));
                return new;
            end $$
            """,
            """
            create trigger note_pause before update on campaigns for each row
            when (new.retry_at > now() and new.retry_at is distinct from old.retry_at) execute function note_pause()
            """,
        ] { try await house.scratch.execute(statement) }
        for _ in 0..<count {
            try await house.scratch.execute("update campaigns set retry_at = now() where name = 'bad'")
            _ = try await selector.pass()
        }
        return try await house.scratch.value(
            "select string_agg(seconds::text, ' ' order by number) from pauses",
            as: String.self
        )
    }

    @Test("a campaign whose statement fails is put aside with the reason, and tried again later", arguments: 0..<3)
    func campaign(index: Int) async throws {
        let fault = Self.faults[index]
        try await House.run { house in
            let store = house.scratch.store
            // It comes first by priority.
            _ = try await Fixtures.runningCampaign(in: store, name: "bad", contacts: 2) { $0.priority = 5 }
            _ = try await Fixtures.runningCampaign(in: store, name: "good", contacts: 3, first: 100)
            for statement in fault.sql { try await house.scratch.execute(statement) }
            let selector = house.selector()
            #expect(try await selector.pass().published == 3)
            #expect(try await Self.claimed(house, "good") == 3)
            let faults = try await store.faults()
            #expect(faults.map(\.name) == ["bad"])
            #expect(faults[0].reason.contains(fault.words), "\(faults)")
            if index != 1 {
                #expect(try await store.explainCampaign(named: "bad").obstacle?.contains(fault.words) == true)
            }
            #expect(selector.currentFault == "no pass has been made yet")
            // Asked again only when its time has come, and longer each time.
            #expect((faults[0].retryAt == nil) == fault.isOfSomeContacts)
            if !fault.isOfSomeContacts {
                try await house.scratch.execute("update campaigns set retry_at = now() + interval '1 hour'")
                #expect(try await selector.pass().putAside == 0)
                #expect(try await Self.pauses(house, selector, 9) == "10 20 40 80 160 300 300 300 300")
            }
            try await house.scratch.execute(fault.mend)
            try await house.scratch.execute("update campaigns set retry_at = now() where retry_at > now()")
            #expect(try await selector.pass().published == 2)
            #expect(try await store.faults().isEmpty)
        }
    }

    @Test("of a campaign with contacts in an unknown time zone, only those wait")
    func zoneOfSome() async throws {
        try await House.run { house in
            let store = house.scratch.store
            let campaign = try await Fixtures.runningCampaign(in: store, name: "mixed", contacts: 4)
            try await house.scratch.execute(
                "update contacts set time_zone = 'US/Nowhere' where external_contact_id < 'x2'"
            )
            let selector = house.selector()
            #expect(try await selector.pass().published == 2)
            #expect(try await store.faults().map(\.reason).allSatisfy { $0.contains("US/Nowhere") })
            #expect(try await store.faults().count == 1)
            // What was claimed before the host forgot the zone is given back at the dial, and nothing is cancelled for it.
            let requests = try await store.claim(campaign: campaign, limit: 9, leaseDuration: .seconds(60)).requests
            #expect(requests.isEmpty)
            try await house.scratch.execute("update contacts set time_zone = null")
            #expect(try await selector.pass().published == 2)
            #expect(try await store.faults().isEmpty)
        }
    }

    @Test("a trunk whose queue exists with other arguments is put aside, and tried again later")
    func trunk() async throws {
        try await House.run { house in
            let store = house.scratch.store
            _ = try await Fixtures.runningCampaign(in: store, name: "first", contacts: 2) { $0.trunk = "a" }
            _ = try await Fixtures.runningCampaign(in: store, name: "second", contacts: 3, first: 100) {
                $0.trunk = "b"
            }
            var other = AMQPTopology()
            other.queue(CallTopology.dialQueue(trunk: "a"), arguments: ["x-max-length": .int32(10)])
            try await house.publisher.declare(other)
            let selector = house.selector()
            let summary = try await selector.pass()
            #expect(summary.published == 3 && summary.putAside == 1)
            let faults = try await store.faults()
            #expect(faults.map(\.name) == ["a"] && faults[0].kind == .trunk)
            #expect(try await store.explainCampaign(named: "first").obstacle == faults[0].reason)
            // Not asked before its time.
            try await house.scratch.execute("update trunks set retry_at = now() + interval '1 hour'")
            #expect(try await selector.pass().putAside == 0)
            try await house.publisher.deleteQueue(CallTopology.dialQueue(trunk: "a"))
            try await house.scratch.execute("update trunks set retry_at = now()")
            #expect(try await selector.pass().published == 2)
            #expect(try await store.faults().isEmpty)
        }
    }

    @Test("a trunk's queue that is deleted under a running selector is declared again in the same pass")
    func deletedQueue() async throws {
        try await House.run { house in
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, contacts: 5)
            let selector = house.selector { $0.queueDepth = 2 }
            #expect(try await selector.pass().published == 2)
            try await house.publisher.deleteQueue(CallTopology.dialQueue(trunk: "default"))
            try await house.publisher.deleteQueue(CallTopology.dead)
            #expect(try await selector.pass().published == 2)
            _ = try await selector.pass()
            #expect(try await house.publisher.queueStatus(CallTopology.dead).messagesReady == 0)
        }
    }

    @Test("a claim that cannot be given back keeps no other")
    func sweep() async throws {
        try await House.run { house in
            let store = house.scratch.store
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 20)
            _ = try await store.claim(campaign: campaign, limit: 20, leaseDuration: .seconds(60))
            try await house.scratch.execute("update contacts set lease_until = now() - interval '1 second'")
            let numbers = try [3, 7].map { try Fixtures.number($0).e164 }
            try await house.scratch.execute(
                "alter table contacts add check (state <> 'pending' or phone_number not in ('\(numbers[0])', '\(numbers[1])')) not valid"
            )
            let swept = try await store.sweepExpiredClaims()
            #expect(swept.givenBack == 18 && swept.failed == 2)
        }
    }

    @Test(
        "a dial request whose statement always fails sinks no batch; it is a dead letter only when its values are wrong",
        arguments: ["23514", "P0001"]
    )
    func request(sqlState: String) async throws {
        try await House.run { house in
            let store = house.scratch.store
            _ = try await Fixtures.runningCampaign(in: store, contacts: 30)
            let number = try Fixtures.number(11).e164
            try await house.scratch.execute(
                """
                create function refuse() returns trigger language plpgsql as $$
                begin
                    if new.phone_number = '\(number)' then
                        raise exception 'not this one' using errcode = '\(sqlState)';
                    end if;
                    return new;
                end $$
                """
            )
            try await house.scratch.execute(
                "create trigger refuse before insert on call_attempts for each row execute function refuse()"
            )
            #expect(try await house.selector().pass().published == 30)
            let provider = ScriptedProvider()
            let start = try await house.time()
            try await house.withDialer(
                provider: provider,
                { $0.maximumConcurrentCalls = 60 }
            ) { _ in
                try await eventually("the others are called") { provider.placements.count == 29 }
                try await eventually("the one is given back") {
                    try await house.count("phone_number = '\(number)' and state = 'pending' and call_id is null") == 1
                }
                #expect(try await house.count("phone_number = '\(number)' and attempts_count = 0") == 1)
                let dead = sqlState == "23514" ? 1 : 0
                try await eventually("dead letters: \(dead)") {
                    try await house.publisher.queueStatus(CallTopology.dead).messagesReady == dead
                }
                // It rests, and once the cause is gone it is called.
                let rests = "phone_number = '\(number)' and next_attempt_at >= \(start) + interval '60 seconds'"
                #expect(try await house.count(rests) == 1)
                try await house.scratch.execute("drop trigger refuse on call_attempts")
                try await house.scratch.execute(
                    "update contacts set next_attempt_at = now() where phone_number = '\(number)'"
                )
                _ = try await house.selector().pass()
                try await eventually("it is called") { provider.placements.count == 30 }
                #expect(try await house.publisher.queueStatus(CallTopology.dead).messagesReady == dead)
            }
        }
    }

    @Test("what was created while a batch was halved is placed, whatever becomes of the rest")
    func halves() async throws {
        try await House.run { house in
            let store = house.scratch.store
            let campaign = try await Fixtures.runningCampaign(in: store, contacts: 8)
            let requests = try await store.claim(campaign: campaign, limit: 8, leaseDuration: .seconds(60)).requests
            // The first statement fails by one value; that of the second half by the server.
            let bad = requests[5].contactID.uuidString
            try await house.scratch.execute(
                """
                create function refuse() returns trigger language plpgsql as $$
                begin
                    if new.contact_id = '\(bad)' then
                        if exists (select from call_attempts where contact_id = '\(requests[0].contactID.uuidString)'
                            and xmin::text::bigint <> txid_current()) then
                            raise exception 'no room' using errcode = '53100';
                        end if;
                        raise exception 'bad' using errcode = '22000';
                    end if;
                    return new;
                end $$
                """
            )
            try await house.scratch.execute(
                "create trigger refuse before insert on call_attempts for each row execute function refuse()"
            )
            let verdicts = try await store.beginAttempts(
                requests.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) },
                dialerID: "d",
                trunk: "default",
                margin: .seconds(9)
            )
            for verdict in verdicts[..<4] {
                if case .created = verdict {} else { Issue.record("\(verdict)") }
            }
            for verdict in verdicts[4...] {
                if case .undecided = verdict {} else { Issue.record("\(verdict)") }
            }
        }
    }
}
