// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import ProviderSimulator
import TestBasics
import TestSupport
import Testing

/// Roles on hosts whose clocks are wrong.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct ClockTests {
    private static let scenario = """
        {"outcomes": {"completed": 1}, "ring_seconds": {"min": 0.05, "max": 0.1}, "talk_seconds": {"min": 0.1, "max": 0.2}}
        """

    @Test(
        "only the database's clock says whether a window is open, however wrong the roles' clocks are",
        arguments: [6, -6]
    )
    func wrongClocks(hours: Int) async throws {
        try await Scratch.run { scratch in
            let library = try await Shell.output("ls /usr/lib/*/faketime/libfaketimeMT.so.1")
                .trimmingCharacters(in: .whitespacesAndNewlines)
            let rehearsal = try await Rehearsal.start(scenario: Self.scenario)
            let port = try Ports.free()
            // What the roles take for now is a time at which the other campaign's window is open.
            for (name, shift) in [("open", 0), ("closed", hours)] {
                let window = try await scratch.value(
                    """
                    select to_char(now() at time zone 'UTC' + make_interval(hours => $1::int - 2), 'HH24:00-')
                        || to_char(now() at time zone 'UTC' + make_interval(hours => $1::int + 2), 'HH24:00')
                    """,
                    [shift],
                    as: String.self
                )
                _ = try await Fixtures.runningCampaign(
                    in: scratch.store,
                    name: name,
                    contacts: 10,
                    first: shift == 0 ? 0 : 1000
                ) {
                    $0.week = try? CallingWeek(windows: [window], weekdays: Array(1...7))
                    $0.answerURL = rehearsal.url + "/simulator/answer"
                }
            }
            let hour = { try await scratch.value(Self.wrongHour, [hours], as: String.self) }
            let earliest = try await hour()
            let role = try RunningRole(
                ["all"],
                [
                    "DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL,
                    "TWILIO_ACCOUNT_SID": Rehearsal.account, "TWILIO_AUTH_TOKEN": Rehearsal.token,
                    "TWILIO_BASE_URL": rehearsal.url, "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:\(port)",
                    "WEBHOOK_PORT": "\(port)", "SELECTOR_INTERVAL_SECONDS": "0.5", "DIALER_CALLS_PER_SECOND": "50",
                    "LD_PRELOAD": library, "FAKETIME": hours > 0 ? "+\(hours)h" : "\(hours)h",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                ]
            )
            do {
                try await eventually(
                    "everybody whose window is open is called",
                    of: { try await Self.count(scratch, "state = 'completed'") }
                ) { $0 == 10 }
                let latest = try await hour()
                #expect(role.log.contains(earliest) || role.log.contains(latest), "its clock is not wrong")
            } catch {
                print(role.log.suffix(2000))
                await role.stop()
                await rehearsal.role.stop()
                throw error
            }
            await role.stop()
            #expect(try await Self.count(scratch, "attempts_count > 0 or state <> 'pending'") == 10)
            #expect(try await rehearsal.ledger().summary.placed == 10)
            await rehearsal.role.stop()
        }
    }

    /// The day and the hour that the log of such a role shows.
    private static let wrongHour = """
        select to_char(now() at time zone 'UTC' + make_interval(hours => $1::int), 'YYYY-MM-DD"T"HH24')
        """

    private static func count(_ scratch: Scratch, _ condition: String) async throws -> Int {
        try await scratch.value("select count(*) from contacts where \(condition)", as: Int.self)
    }
}
