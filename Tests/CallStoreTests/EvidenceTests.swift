// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Postgres
import TestSupport
import Testing

/// The audit, and the forgetting of persons.
@Suite(.timeLimit(.minutes(20)))
struct EvidenceTests {
    private static func audit(_ scratch: Scratch) async throws -> [CallStore.AuditedCall] {
        var calls: [CallStore.AuditedCall] = []
        try await scratch.store.audit(from: .distantPast, to: .distantFuture, campaign: nil) { calls += $0 }
        return calls
    }

    /// Three calls, ten minutes ago, that kept every rule.
    private static func history(_ scratch: Scratch) async throws -> UUID {
        let campaign = try await Fixtures.runningCampaign(in: scratch.store, contacts: 3) {
            $0.numberLimits = [(try? NumberLimit(attemptsPer: "1/1h"))].compactMap(\.self)
            $0.requiresConsent = true
            $0.retryIntervalMinutes = 0
        }
        #expect(try await Calls.callAll(scratch, campaign, .busy) == 3)
        for sql in [
            "update call_attempts set started_at = started_at - interval '10 minutes', ended_at = ended_at - interval '9 minutes'",
            "update campaign_rules set valid_from = valid_from - interval '1 hour'",
            "update campaign_changes set changed_at = changed_at - interval '1 hour'",
        ] { try await scratch.execute(sql) }
        return campaign
    }

    @Test("calls that kept the rules pass, also after the rules were changed")
    func clean() async throws {
        try await Scratch.run { scratch in
            _ = try await Self.history(scratch)
            try await scratch.execute(
                """
                update campaigns set allowed_call_start_local = (now() at time zone 'UTC' + interval '2 hours')::time,
                    allowed_call_end_local = (now() at time zone 'UTC' + interval '3 hours')::time
                """
            )
            try await scratch.store.addExclusions([try Fixtures.number(0)], reason: nil, source: "manual")
            let calls = try await Self.audit(scratch)
            #expect(calls.count == 3)
            #expect(calls.allSatisfy { $0.breaches.isEmpty && $0.hadConsent == true }, "\(calls)")
        }
    }

    @Test(
        "each breach is found, from the rows alone",
        arguments: [
            ("update campaign_rules set calling_week = '{[0,1)}', time_zone = 'UTC'", "calling window"),
            (
                "update campaign_rules set blocked_dates = '{[2000-01-01,2100-01-01)}'",
                "calling window closed, or a blocked date"
            ),
            ("update call_attempts set had_consent = false", "no consent"),
            (
                "insert into exclusion_list_entries (phone_number, created_at) select phone_number, now() - interval '1 day' "
                    + "from contacts",
                "excluded"
            ),
            (
                "insert into removed_exclusions (phone_number, source, created_at, removed_at) select phone_number, "
                    + "'manual', now() - interval '1 day', now() - interval '1 minute' from contacts",
                "excluded"
            ),
            ("update contacts set do_not_call = true", "excluded"),
            (
                "insert into campaign_changes (campaign_id, changed_at, status, actor) select id, now() - interval '1 hour', "
                    + "'paused', 't' from campaigns",
                "not running"
            ),
            ("update campaign_rules set max_attempts = 0", "more attempts"),
            ("update campaign_rules set ends_at = now() - interval '1 day'", "after the campaign's end"),
            (
                """
                insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id, status,
                    started_at, ended_at, deadline_at, outcome)
                select uuid_v7(), contact_id, campaign_id, 1, phone_number, 'd', 'ended', started_at - interval '5 minutes',
                    started_at - interval '4 minutes', now(), 'busy'
                from call_attempts
                """, "limit per number"
            ),
            (
                """
                insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id, status,
                    started_at, ended_at, deadline_at, outcome)
                select uuid_v7(), contact_id, campaign_id, 1, phone_number, 'd', 'ended', started_at - interval '5 minutes',
                    started_at + interval '1 minutes', now(), 'busy'
                from call_attempts
                """, "another call to the number"
            ),
            ("update call_attempts set provider_call_id = 'same'", "belongs to two attempts"),
        ]
    )
    func breach(sql: String, breach: String) async throws {
        try await Scratch.run { scratch in
            _ = try await Self.history(scratch)
            try await scratch.execute(sql)
            let found = try await Self.audit(scratch).flatMap(\.breaches)
            #expect(found.contains { $0.contains(breach) }, "\(found)")
        }
    }

    @Test("a person who is forgotten leaves counts behind, and no number, id or address, in any table")
    func erase() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.history(scratch)
            let number = try Fixtures.number(1)
            try await scratch.execute(
                "update contacts set email = 'who@example.org' where phone_number = '\(number.e164)'"
            )
            try await scratch.store.addExclusions([number], reason: nil, source: "manual", campaign: campaign)
            let key = SuppressionKey(secret: "a key of some length")
            let erasure = try await scratch.store.erase(number, key: key)
            #expect(erasure == CallStore.Erasure.of(contacts: 1, attempts: 1, exclusions: 1))
            let tables = try await scratch.client.execute(
                PostgresStatement("select tablename from pg_tables where schemaname = 'public'", prepared: false)
            ).map { try $0.decode(String.self, at: 0) }
            for table in tables {
                let traces = try await scratch.value(
                    "select count(*) from \(table) t where t::text ~ '\(number.e164.dropFirst())|who@example|,x1,'",
                    as: Int.self
                )
                #expect(traces == 0, "\(table)")
            }
            let report = try await scratch.store.report(campaign: campaign)
            #expect(report.total == 3 && report.attempts[.busy] == 3)
            let list = try await scratch.store.suppressedNumbers(key: key)
            #expect(list.contains(number))
            #expect(!list.contains(try Fixtures.number(2)))
            let foreign = try await scratch.store.suppressedNumbers(key: SuppressionKey(secret: "another key, as long"))
            #expect(!foreign.contains(number) && !foreign.isEmpty)
        }
    }

    @Test(
        "a number that was excluded for a while, free, and excluded again: calls are judged by each of the times",
        arguments: [
            true, false,
        ]
    )
    func renewedExclusion(isOfCampaign: Bool) async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.history(scratch)
            let scope = isOfCampaign ? campaign : nil
            let table = isOfCampaign ? "campaign_exclusions" : "exclusion_list_entries"
            let (free, listed) = (try Fixtures.number(0), try Fixtures.number(1))
            for number in [free, listed] {
                try await scratch.store.addExclusions(
                    [number],
                    reason: nil,
                    source: "manual",
                    campaign: scope,
                    expiresAt: Date().addingTimeInterval(3600)
                )
            }
            // The calls were ten minutes ago: the one exclusion had expired by then, the other had not.
            try await scratch.execute(
                "update \(table) set created_at = now() - interval '2 hours', expires_at = now() - interval '1 hour' "
                    + "where phone_number = $1",
                [free.e164]
            )
            try await scratch.execute(
                "update \(table) set created_at = now() - interval '2 hours', expires_at = now() - interval '1 minute' "
                    + "where phone_number = $1",
                [listed.e164]
            )
            let accused = { (calls: [CallStore.AuditedCall]) in
                calls.filter { $0.breaches == ["number was excluded"] }.map(\.phoneNumber)
            }
            #expect(accused(try await Self.audit(scratch)) == [listed.e164])
            for end in [Date().addingTimeInterval(3600), nil] {
                try await scratch.store.addExclusions(
                    [free, listed],
                    reason: "again",
                    source: "manual",
                    campaign: scope,
                    expiresAt: end
                )
                #expect(accused(try await Self.audit(scratch)) == [listed.e164])
            }
            // Prolonged while it was in force, it is one and the same.
            let history = try await scratch.value("select count(*) from removed_exclusions", as: Int.self)
            #expect(history == 2)
            for number in [free, listed] { _ = try await scratch.store.removeExclusion(number, campaign: scope) }
            #expect(accused(try await Self.audit(scratch)) == [listed.e164])
        }
    }

    @Test("who is barred by a later file was called rightly before, and wrongly after")
    func barredLater() async throws {
        try await Scratch.run { scratch in
            let campaign = try await Self.history(scratch)
            let row = CallStore.NewContact(
                externalID: nil,
                phoneNumber: try Fixtures.number(0),
                email: nil,
                language: nil,
                hasPriorConsent: nil,
                doNotCall: true,
                timeZone: nil
            )
            #expect(try await scratch.store.addContacts([row], campaign: campaign).barred == 1)
            #expect(try await Self.audit(scratch).allSatisfy(\.breaches.isEmpty))
            try await scratch.execute(
                "update contacts set do_not_call_at = now() - interval '1 hour' where do_not_call"
            )
            #expect(try await Self.audit(scratch).flatMap(\.breaches) == ["number was excluded"])
        }
    }

    @Test("every change of a campaign's state is kept with who made it and why")
    func author() async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, contacts: 1)
            try await scratch.store.perform(.pause, onCampaign: "test", reason: "lunch", actor: "anna")
            try await scratch.store.perform(.resume, onCampaign: "test", reason: nil, actor: "bert")
            let changes = try await scratch.value(
                "select string_agg(concat_ws(' ', status, actor, reason), ', ' order by changed_at) from campaign_changes "
                    + "where status <> 'draft' and actor <> 'test'",
                as: String?.self
            )
            #expect(changes == "paused anna lunch, running bert")
        }
    }

    @Test("retention forgets campaigns that ended long ago, and none that a limit still looks back to")
    func retention() async throws {
        try await Scratch.run { scratch in
            _ = try await Self.history(scratch)
            let month = Date().addingTimeInterval(-30 * 86_400)
            #expect(try await scratch.store.retain(from: month, isRehearsal: false).campaigns.isEmpty)
            await #expect(throws: StoreError.self) { try await scratch.store.retain(from: Date(), isRehearsal: false) }
            try await scratch.store.perform(.cancel, onCampaign: "test", reason: nil, actor: "t")
            try await scratch.execute("update campaigns set status_changed_at = now() - interval '31 days'")
            let rehearsal = try await scratch.store.retain(from: month, isRehearsal: true)
            #expect(rehearsal.contacts == 3 && rehearsal.attempts == 3)
            #expect(try await scratch.store.retain(from: month, isRehearsal: false) == rehearsal)
            #expect(try await scratch.store.retain(from: month, isRehearsal: false).contacts == 0)
            let numbers = try await scratch.value(
                "select count(phone_number) + (select count(phone_number) from call_attempts) from contacts",
                as: Int.self
            )
            #expect(numbers == 0)
        }
    }
}

extension CallStore.Erasure {
    fileprivate static func of(contacts: Int, attempts: Int, exclusions: Int) -> Self {
        var erasure = Self()
        erasure.contacts = contacts
        erasure.attempts = attempts
        erasure.exclusions = exclusions
        return erasure
    }
}
