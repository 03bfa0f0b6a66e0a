// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestSupport
import Testing

/// Commands about campaigns with contacts in a time zone that the database's host does not know, as after a move to one
/// without the former names.
@Suite(.timeLimit(.minutes(4)))
struct UnknownZoneTests {
    /// Two contacts, of whom the second, or both, live where nobody knows the hour.
    private static func with(
        all: Bool,
        _ body: @Sendable (Scratch, @Sendable ([String]) async throws -> Product.Ended) async throws -> Void
    ) async throws {
        try await Scratch.run { scratch in
            _ = try await Fixtures.runningCampaign(in: scratch.store, name: "c", contacts: 1, timeZone: "Europe/Berlin")
            let campaign = try await scratch.store.campaign(named: "c")
            _ = try await scratch.store.addContacts(
                [
                    CallStore.NewContact(
                        externalID: "far",
                        phoneNumber: try Fixtures.number(7),
                        email: nil,
                        language: nil,
                        hasPriorConsent: true,
                        doNotCall: false,
                        timeZone: "Asia/Tokyo"
                    )
                ],
                campaign: campaign.id
            )
            for (zone, unknown) in [("Asia/Tokyo", "Atlantis/Harbour")]
                + (all ? [("Europe/Berlin", "Atlantis/Port")] : [])
            {
                for table in ["campaign_strata", "contacts"] {
                    try await scratch.execute(
                        "update \(table) set time_zone = '\(unknown)' where time_zone = '\(zone)'"
                    )
                }
            }
            try await body(scratch) { arguments in
                try await Product.run(arguments, ["DATABASE_URL": scratch.databaseURL])
            }
        }
    }

    @Test(
        "the check before a start names the zone, as an error when nobody is anywhere else",
        arguments: [true, false]
    )
    func check(all: Bool) async throws {
        try await Self.with(all: all) { _, run in
            let ended = try await run(["campaign", "check", "c", "--json"])
            #expect(ended.exitCode == (all ? 1 : 0), "\(ended.output)\(ended.errors)")
            let decoder = JSONDecoder()
            decoder.keyDecodingStrategy = .convertFromSnakeCase
            let found = try decoder.decode([CallStore.CampaignProblem].self, from: Data(ended.output.utf8))
            let problem = try #require(found.first { $0.field == "time_zone" }, "\(ended.output)")
            #expect(problem.isError == all && problem.problem.contains("Atlantis/Harbour"))
            #expect(!found.contains { $0.field == "window" }, "\(ended.output)")
        }
    }

    @Test("a forecast says that it cannot be made, and why", arguments: [true, false])
    func forecast(all: Bool) async throws {
        try await Self.with(all: all) { _, run in
            let ended = try await run(["campaign", "forecast", "c", "--lines", "1"])
            #expect(ended.exitCode == 1 && ended.errors.contains("Atlantis/Harbour"), "\(ended.errors)")
            #expect(!ended.errors.contains("internal") && !ended.errors.contains("22023"), "\(ended.errors)")
        }
    }

    @Test("an audit judges all that it can, and says of which calls it cannot know the hour")
    func audit() async throws {
        try await Self.with(all: false) { scratch, run in
            try await scratch.execute(
                """
                insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id, status,
                    ended_at, outcome, deadline_at, had_consent)
                select uuid_v7(), c.id, c.campaign_id, 1, c.phone_number, 'd', 'ended', now(), 'no_answer', now(), true
                from contacts c
                """
            )
            let ended = try await run(["audit", "--from", "2020-01-01"])
            #expect(ended.exitCode == 1, "\(ended.output)\(ended.errors)")
            let text = ended.output + ended.errors
            #expect(text.contains("the database does not know the time zone Atlantis/Harbour"), "\(text)")
            #expect(!text.contains("internal") && !text.contains("22023"), "\(text)")
            #expect(!text.contains("calling window closed"), "\(text)")
        }
    }
}
