// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import CallModel
import CallStore
import Foundation
import NIOCore
import NIOHTTP1
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

/// `verify-ledger` has something to say for each kind of difference: the demo and CI rest on its silence.
@Suite(.timeLimit(.minutes(20)))
struct VerifyLedgerTests {
    private static let person = "+19990000001"
    private static let busy = "+19990000002"
    private static let machine = "+19990000003"
    private static let endless = "+19990000004"
    private static let refused = "+19990000005"
    private static let patient = "+19990000006"
    private static let scenario = """
        {"ring_seconds": {"min": 0.01, "max": 0.02}, "talk_seconds": {"min": 0.01, "max": 0.02},
         "numbers": {"\(Self.person)": {"outcomes": ["completed"]}, "\(Self.busy)": {"outcomes": ["busy"]},
            "\(Self.machine)": {"outcomes": ["machine"]}, "\(Self.refused)": {"faults": ["refuse_429"]},
            "\(Self.endless)": {"outcomes": ["completed"], "talk_seconds": 3600},
            "\(Self.patient)": {"outcomes": ["completed"], "ring_seconds": 600}}}
        """

    /// A campaign whose calls the test makes itself, with rows as the roles would have made them.
    struct House: Sendable {
        let scratch: Scratch
        let rehearsal: Rehearsal
        let campaign: UUID

        /// Asks the simulator for a call, as the dialer does.
        func ask(_ callID: UUID?, _ number: String) async throws {
            var form = ["To": number, "From": "+15005550006", "Url": "http://127.0.0.1:9/answer", "TimeLimit": "3600"]
            form["Timeout"] = "600"
            form["MachineDetection"] = "Enable"
            if let callID {
                form["StatusCallback"] = "http://127.0.0.1:9/callback?call_id=\(callID.uuidString.lowercased())"
            }
            try await self.post("Calls.json", form)
        }

        /// Takes a call back that nobody has answered.
        func takeBack(_ callID: UUID) async throws {
            let call = try await self.rehearsal.ledger().calls.first { $0.callID == callID.uuidString.lowercased() }
            try await self.post("Calls/\(try #require(call?.sid)).json", ["Status": "canceled"])
        }

        private func post(_ path: String, _ form: [String: String]) async throws {
            let account = "/2010-04-01/Accounts/\(Rehearsal.account)/"
            var request = HTTPClientRequest(url: self.rehearsal.url + account + path)
            request.method = .POST
            request.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
            let credentials = Data("\(Rehearsal.account):\(Rehearsal.token)".utf8).base64EncodedString()
            request.headers.add(name: "Authorization", value: "Basic " + credentials)
            request.body = .bytes(
                ByteBuffer(
                    string: form.map { name, value in
                        let escaped = value.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
                        return name + "=" + escaped
                    }.joined(separator: "&")
                )
            )
            let response = try await HTTPClient.patient.execute(request, timeout: .seconds(600))
            let isRefused = form["To"] == VerifyLedgerTests.refused
            #expect(isRefused ? response.status == .tooManyRequests : 200..<300 ~= response.status.code)
        }

        func insert(_ callID: UUID, _ number: String, outcome: String?, counted: Bool, error: String?) async throws {
            try await self.scratch.execute(
                """
                insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id,
                    status, deadline_at, ended_at, outcome, counted, error_code)
                select $1, id, campaign_id, 1, phone_number, 'd1',
                    case when $3::text is null then 'placed' else 'ended' end, now(),
                    case when $3 is not null then now() end, $3, $4, $5
                from contacts where phone_number = $2
                """,
                [callID, number, outcome, counted, error]
            )
        }

        /// One call, its row first.
        func call(_ number: String, outcome: String?, counted: Bool = true, error: String? = nil) async throws -> UUID {
            let callID = CallID.make()
            try await self.insert(callID, number, outcome: outcome, counted: counted, error: error)
            try await self.ask(callID, number)
            return callID
        }

        func verify(_ options: [String] = []) async throws -> Product.Ended {
            try await Product.run(
                [
                    "verify-ledger", "--ledger", self.rehearsal.url + "/simulator/ledger", "--campaign", "verified",
                    "--json",
                ] + options,
                ["DATABASE_URL": self.scratch.databaseURL]
            )
        }
    }

    private static func run(_ body: @Sendable (House) async throws -> Void) async throws {
        try await Scratch.run { scratch in
            let campaign = try await Fixtures.runningCampaign(in: scratch.store, name: "verified", contacts: 7)
            let rehearsal = try await Rehearsal.start(scenario: Self.scenario, watching: scratch.databaseURL)
            do {
                try await body(House(scratch: scratch, rehearsal: rehearsal, campaign: campaign))
                await rehearsal.role.stop()
            } catch {
                await rehearsal.role.stop()
                throw error
            }
        }
    }

    /// A person, a busy line, a machine and a refusal, all as they should be.
    private static func sound(_ house: House) async throws {
        _ = try await house.call(Self.person, outcome: "completed")
        _ = try await house.call(Self.busy, outcome: "busy")
        _ = try await house.call(Self.machine, outcome: "answering_machine")
        _ = try await house.call(Self.refused, outcome: "failed", counted: false, error: "20429")
        try await eventually("the calls are over") { try await house.rehearsal.ledger().summary.live == 0 }
    }

    /// A difference, the words that tell it, and how it comes about after sound calls.
    struct Difference: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let make: @Sendable (House) async throws -> Void

        init(_ words: String, _ make: @escaping @Sendable (House) async throws -> Void) {
            self.testDescription = words
            self.make = make
        }

        static func changed(_ words: String, _ change: String) -> Difference {
            Difference(words) { try await $0.scratch.execute("update call_attempts set \(change)") }
        }
    }

    static let differences: [Difference] = [
        Difference("a request without a call_id was sent") { try await $0.ask(nil, Self.person) },
        Difference("asked for, without a row") { try await $0.ask(CallID.make(), Self.person) },
        Difference("the provider was asked 2 times") { house in
            try await house.ask(try await house.call(Self.person, outcome: "completed"), Self.person)
        },
        Difference("the provider was asked before the row was made") { house in
            let callID = CallID.make()
            try await house.ask(callID, Self.person)
            try await house.insert(callID, Self.person, outcome: "completed", counted: true, error: nil)
        },
        Difference("another number was called") { house in
            let callID = CallID.make()
            try await house.insert(callID, Self.person, outcome: "busy", counted: true, error: nil)
            try await house.ask(callID, Self.busy)
        },
        Difference("counted as an attempt, but nobody was asked") { house in
            try await house.insert(CallID.make(), Self.person, outcome: "completed", counted: true, error: nil)
        },
        .changed(
            "which the provider did not say of it",
            "provider_call_id = 'CA1' where phone_number = '\(Self.person)'"
        ),
        .changed("was placed, but is not counted", "counted = false where phone_number = '\(Self.person)'"),
        Difference("was taken back unanswered, but is counted") { house in
            try await house.takeBack(try await house.call(Self.patient, outcome: "failed"))
        },
        .changed("given back, but the outcome", "outcome = 'busy' where phone_number = '\(Self.refused)'"),
        .changed("nothing was placed, but the outcome", "outcome = 'busy', counted = true where not counted"),
        .changed("busy for us, recorded as completed", "outcome = 'completed' where outcome = 'busy'"),
        .changed(
            "answering_machine for us, recorded as completed",
            "outcome = 'completed' where outcome = 'answering_machine'"
        ),
        .changed("refused for us, recorded as completed", "survey_outcome = 'opt_out' where outcome = 'completed'"),
        .changed("ended as busy, recorded as lost", "error_code = 'lost' where outcome = 'busy'"),
        Difference("its outcome is not recorded") { _ = try await $0.call("+19990000000", outcome: nil) },
        Difference("goes on, but an outcome is recorded") { _ = try await $0.call(Self.endless, outcome: "completed") },
        Difference("calls began while their number was being called") { house in
            for _ in 1...2 { _ = try await house.call(Self.endless, outcome: "completed") }
        },
        Difference("an excluded number was called") { house in
            let numbers = [try PhoneNumber(Self.person)]
            try await house.scratch.store.addExclusions(numbers, reason: nil, source: "manual")
            _ = try await house.call(Self.person, outcome: "completed")
        },
    ]

    @Test("what is as it should be is agreed on, also a number that was excluded after its call")
    func agreed() async throws {
        try await Self.run { house in
            try await Self.sound(house)
            let takenBack = try await house.call(Self.patient, outcome: "failed", counted: false, error: "sip_487")
            try await house.takeBack(takenBack)
            let numbers = [try PhoneNumber(Self.person)]
            try await house.scratch.store.addExclusions(numbers, reason: nil, source: "manual")
            let verified = try await house.verify(["--max-live", "4"])
            #expect(verified.exitCode == 0, "\(verified.output)\(verified.errors)")
            // What another campaign has asked for is its own.
            _ = try await Fixtures.runningCampaign(in: house.scratch.store, name: "other", contacts: 1, first: 900)
            let other = try await house.verify(["--campaign", "other"])
            #expect(other.exitCode == 0, "\(other.output)\(other.errors)")
            let limited = try await house.verify(["--max-live", "0"])
            #expect(limited.exitCode == 1 && limited.output.contains("live at once, more than 0"), "\(limited.output)")
        }
    }

    @Test("each kind of difference is told, with exit code 1", arguments: Self.differences)
    func differs(difference: Difference) async throws {
        try await Self.run { house in
            try await Self.sound(house)
            try await difference.make(house)
            try await eventually("the calls are over") {
                try await house.rehearsal.ledger().calls.allSatisfy { call in
                    call.sid == nil || call.endedAt != nil || call.to == Self.endless && call.startedAt != nil
                }
            }
            let verified = try await house.verify()
            #expect(verified.exitCode == 1, "\(verified.output)\(verified.errors)")
            #expect(verified.output.contains(difference.testDescription), "\(verified.output)")
            #expect(verified.errors.contains("disagree in"), "\(verified.errors)")
        }
    }
}
