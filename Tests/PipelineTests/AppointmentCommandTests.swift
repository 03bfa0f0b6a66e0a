// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import TestBasics
import TestSupport
import Testing

/// Appointments as their users make and see them.
@Suite(.timeLimit(.minutes(20)))
struct AppointmentCommandTests {
    @Test("appointments come with a file or by command, in the person's time, and are seen wherever people look")
    func commands() async throws {
        try await Scratch.run { scratch in
            let environment = ["DATABASE_URL": scratch.databaseURL, "AMQP_URL": scratch.brokerURL]
            var settings = CampaignSettings(name: "c", timeZone: "Europe/Vienna")
            settings.maximumConcurrentCalls = 5
            _ = try await scratch.store.createCampaign(settings)
            let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".csv").path
            defer { for suffix in ["", ".rejects.csv"] { try? FileManager.default.removeItem(atPath: path + suffix) } }
            let rows = """
                phone_number,time_zone,appointment_at,appointment_until
                +493023125110,,2098-01-14T10:00,2098-01-14T11:00
                +493023125111,Europe/Lisbon,2098-01-14 10:00,
                +493023125112,,2098-01-14T10:00:00-05:00,
                +493023125113,,2020-01-14T10:00Z,
                +12127365000,,2098-01-14T10:00,
                +493023125114,,tomorrow,
                +493023125115,,,2098-01-14T10:00

                """
            try rows.write(toFile: path, atomically: true, encoding: .utf8)
            let loaded = try await Product.run(["contacts", "import", path, "--campaign", "c"], environment)
            for line in ["added     4", "appointed 3  (and 1 that are past", "rejected  3", "add an offset"] {
                #expect(loaded.output.contains(line), "\(loaded.output)\(loaded.errors)")
            }
            let stored = try await scratch.value(
                """
                select string_agg(right(c.phone_number, 1) || ' '
                    || to_char(a.appointed_at at time zone 'UTC', 'HH24:MI') || '-'
                    || to_char(a.appointed_until at time zone 'UTC', 'HH24:MI'), ' ' order by c.phone_number)
                from appointments a join contacts c on c.id = a.contact_id
                """,
                as: String.self
            )
            #expect(stored == "0 09:00-10:00 1 10:00-10:30 2 15:00-15:30")
            let appoint = ["contacts", "appoint", "+493023125113", "--at"]
            let made = try await Product.run(appoint + ["2098-01-15T18:30"], environment)
            #expect(made.output.contains("appointed for Wed 2098-01-15 18:30 at the person's place"), "\(made.output)")
            for (time, exitCode, word) in [
                ("2020-01-15T18:30", 1, "has passed"), ("2098-01-15T03:30", 1, "nobody may be called there"),
                ("soon", 64, "--at"),
            ] {
                let refused = try await Product.run(appoint + [time], environment)
                #expect(refused.exitCode == exitCode, "\(refused.output)\(refused.errors)")
                #expect((refused.output + refused.errors).contains(word), "\(refused.output)\(refused.errors)")
                #expect(!(refused.output + refused.errors).contains("3023125113"))
            }
            let why = try await Product.run(["contacts", "why", "+493023125113"], environment)
            #expect(why.output.contains("by appointment, 2098-01-15T17:30:00Z"), "\(why.output)")
            let report = try await Product.run(["report", "c"], environment)
            #expect(report.output.contains("appointments     4 to come"), "\(report.output)")
            let forecast = try await Product.run(["campaign", "forecast", "c"], environment)
            #expect(forecast.output.contains("4 appointment(s) to come"), "\(forecast.output)\(forecast.errors)")
            let export = try await Product.run(["campaign", "export", "c", "--contacts", "-"], environment)
            #expect(
                export.output.contains("2098-01-15T17:30:00.000Z,2098-01-15T18:00:00.000Z,open"),
                "\(export.output)"
            )
            let back = try await Product.run(["contacts", "appoint", "+493023125113", "--cancel"], environment)
            #expect(back.output.contains("1 appointment(s) taken back"), "\(back.output)\(back.errors)")
        }
    }
}
