// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Forecasting
import Foundation
import Testing

/// What can be computed without simulating must come out of the simulation.
@Suite(.timeLimit(.minutes(20)))
struct ExpectationTests {
    @Test("the same seed gives the same forecast and another seed another one")
    func determinism() throws {
        let plan = try Plans.berlin()
        var other = plan
        other.seed = 2
        let first = try Plans.simulate(plan)
        let second = try Plans.simulate(plan)
        #expect(first.forecast == second.forecast)
        #expect(first.calls == second.calls)
        #expect(try Plans.simulate(other).calls != first.calls)
    }

    @Test("attempts follow the geometric distribution that ends with the last one", arguments: [1, 2, 3, 6])
    func geometric(attempts: Int) throws {
        let count = 4000
        let plan = try Plans.berlin(contacts: count) {
            $0.maximumAttempts = attempts
            $0.lines = 200
            $0.callsPerSecond = 50
            $0.week = try CallingWeek(windows: ["00:00-12:00", "12:00-00:00"], weekdays: Array(1...7))
        }
        let forecast = try plan.simulate()
        #expect(forecast.ending == .nothingLeft)
        // With 0.3 of the calls a contact's story ends.
        let missed = pow(0.7, Double(attempts))
        func isNear(_ value: Int, _ share: Double) -> Bool {
            let expected = Double(count) * share
            return abs(Double(value) - expected) < 5 * (expected * (1 - share)).squareRoot() + 1
        }
        #expect(isNear(forecast.contacts.exhausted, missed), "\(forecast.contacts)")
        #expect(isNear(forecast.contacts.completed, (1 - missed) * 2 / 3), "\(forecast.contacts)")
        #expect(isNear(forecast.contacts.refused, (1 - missed) / 3), "\(forecast.contacts)")
        for index in 1..<attempts {
            #expect(isNear(forecast.contactsByAttempts[index], pow(0.7, Double(index - 1)) * 0.3))
        }
        let calls = Double(count) * (1 - missed) / 0.3
        #expect(abs(Double(forecast.calls) - calls) < calls * 0.05)
    }

    @Test("while the lines bind, calls per hour are the lines over a call's mean length")
    func lines() throws {
        let plan = try Plans.berlin(contacts: 4000) {
            $0.lines = 10
            $0.callsPerSecond = 100
        }
        let forecast = try plan.simulate()
        // 10:00 to 20:00 in Berlin is 09:00 to 19:00 UTC; the hours before noon are full.
        let full = forecast.hours.filter { $0.openSeconds == 3600 }.prefix(3)
        #expect(full.count == 3)
        let expected = 3600 * 10 / plan.lengths.mean(plan.rates)
        for hour in full {
            #expect(hour.binds == .lines)
            #expect(abs(Double(hour.calls) - expected) < expected * 0.15, "\(hour.calls) \(expected)")
            #expect(hour.liveCalls > 9.5 && hour.liveCalls <= 10)
        }
        #expect(forecast.binds == .lines)
    }

    @Test("while calls per second bind, an hour has 3,600 times as many", arguments: [0.1, 0.25, 1, 2.5])
    func callsPerSecond(rate: Double) throws {
        let plan = try Plans.berlin(contacts: 12_000) {
            $0.lines = 2000
            $0.callsPerSecond = rate
            $0.horizonDays = 1
        }
        let forecast = try plan.simulate()
        let hour = try #require(forecast.hours.first { $0.openSeconds == 3600 })
        #expect(hour.binds == .callsPerSecond)
        #expect(abs(Double(hour.calls) - 3600 * rate) <= max(2, 2 * rate))
    }

    @Test("calls per hour, the target, pauses and limits bind when they are the narrowest")
    func binding() throws {
        let hourly = try Plans.berlin { $0.callsPerHour = 30 }.simulate()
        #expect(hourly.binds == .callsPerHour)
        #expect(hourly.hours.filter { $0.openSeconds == 3600 }.first?.calls == 30)

        let target = try Plans.berlin { $0.target = 50 }.simulate()
        #expect(target.ending == .targetReached)
        #expect(target.contacts.completed == 50)
        #expect(target.contacts.untouched > 0)
        #expect(target.contacts.total == 1000)

        let pauses = try Plans.berlin(contacts: 40) { $0.retryIntervalMinutes = 240 }.simulate()
        #expect(pauses.binds == .retryPauses)

        let limits = try Plans.berlin(contacts: 40) {
            $0.numberLimits = [try NumberLimit(attemptsPer: "1/7d")]
            $0.retryIntervalMinutes = 0
        }.simulate()
        #expect(limits.binds == .numberLimits)
        #expect(limits.hours.count > 7 * 24)
    }

    @Test("a group in two zones is only called while the window is open in both")
    func twoZones() throws {
        let plan = try Plans.berlin(contacts: 100) {
            $0.groups = [.init(zones: ["Europe/Berlin", "America/New_York"], count: 100)]
        }
        let (forecast, calls) = try Plans.simulate(plan)
        #expect(forecast.ending == .nothingLeft)
        // 10:00 in New York is 15:00 UTC; 20:00 in Berlin is 19:00 UTC.
        #expect(calls.allSatisfy { 15..<19 ~= Int($0.start.timeIntervalSince1970) % 86_400 / 3600 })
        let first = forecast.hours.filter { $0.openSeconds > 0 }.prefix(4)
        #expect(first.map(\.start).first == (try Plans.instant("2026-11-23T15:00:00Z")))
    }

    @Test("windows that are never open together, no contacts, and time that is too short are told")
    func nothing() throws {
        let never = try Plans.berlin(contacts: 100) {
            $0.groups = [.init(zones: ["Europe/Berlin", "Pacific/Honolulu"], count: 100)]
        }.simulate()
        #expect(!never.windowOpens)
        #expect(never.ending == .horizon)
        #expect(never.calls == 0)
        #expect(never.contacts.untouched == 100)
        #expect(never.binds == nil)

        let empty = try Plans.berlin(contacts: 0).simulate()
        #expect(empty.ending == .nothingLeft)
        #expect(empty.contacts.total == 0)
        #expect(empty.hours.isEmpty)

        let short = try Plans.berlin(contacts: 5000) { $0.end = try Plans.instant("2026-11-23T12:00:00Z") }
        let (cut, calls) = try Plans.simulate(short)
        #expect(cut.ending == .endDate)
        #expect(calls.allSatisfy { $0.start < (try? Plans.instant("2026-11-23T12:00:00Z")) ?? .distantPast })
        #expect(cut.contacts.untouched > 0)
        #expect(cut.contacts.unfinished > 0)
        #expect(cut.contacts.total == 5000)

        let slow = try Plans.berlin(contacts: 5000) {
            $0.lines = 1
            $0.horizonDays = 3
        }.simulate()
        #expect(slow.ending == .horizon)
        #expect(slow.contacts.total == 5000)
    }

    @Test("pretended contacts are spread like the present ones, and none is lost", arguments: [0, 1, 7, 1000, 999_983])
    func spread(count: Int) throws {
        var plan = try Plans.berlin { $0.groups = (1...7).map { .init(zones: ["UTC"], count: $0 * 3) } }
        plan.spread(count, zone: "UTC")
        #expect(plan.contacts == count)
        for (index, group) in plan.groups.enumerated() {
            #expect(abs(Double(group.count) - Double(count) * Double(index + 1) / 28) <= 1)
        }
        var empty = try Plans.berlin(contacts: 0)
        empty.spread(count, zone: "Asia/Tokyo")
        #expect(empty.contacts == count)
    }

    @Test(
        "rates that are no rates are refused with their reason",
        arguments: [
            ("busy", "'busy' is not an outcome and its share"), ("busy=x", "'busy=x' is not"),
            ("lost=1", "'lost' is no outcome; there are completed, refused"), ("busy=0.5", "sum to 0.5"),
            ("busy=1.5,failed=-0.5", "not a share from 0 to 1"), ("busy=0.5,busy=0.5", "named twice"), ("", "''"),
            ("busy=nan", "not a share"),
        ]
    )
    func rates(text: String, reason: String) {
        let fault = #expect(throws: OutcomeShares.Fault.self) { try OutcomeShares(text) }
        #expect(fault?.reason.contains(reason) == true, "\(fault?.reason ?? "")")
    }

    @Test("everything that is wrong with a plan is told at once")
    func faults() throws {
        let plan = try Plans.berlin {
            $0.lines = 0
            $0.callsPerSecond = 0
            $0.horizonDays = 1000
            $0.end = $0.start
            $0.groups = [.init(zones: ["Europe/Atlantis"], count: 1)]
        }
        let fault = #expect(throws: ForecastFault.self) { try plan.simulate() }
        #expect(fault?.faults.count == 5)
        #expect(fault?.description.contains("Europe/Atlantis") == true)
    }
}
