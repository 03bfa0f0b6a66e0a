// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Forecasting
import Foundation

/// A forecast as it is shown.
struct ForecastView: Encodable, Sendable {
    struct Contacts: Encodable, Sendable {
        let total: Int
        let completed: Int
        let refused: Int
        let exhausted: Int
        let unfinished: Int
        let untouched: Int
        let byAttempts: [Int]
    }

    struct Hour: Encodable, Sendable {
        let start: Date
        let calls: Int
        let completed: Int
        let refused: Int
        let exhausted: Int
        let liveCalls: Double
        let waiting: Int
        let openSeconds: Int
        let binds: Forecast.Rule
        let bound: [String: Double]
    }

    let campaign: String
    let start: Date
    let end: Date
    let ending: Forecast.Ending
    let windowOpens: Bool
    let calls: Int
    let contacts: Contacts
    let binds: Forecast.Rule?
    let bound: [String: Double]
    let assumptions: [ForecastBasis.Assumption]
    let hours: [Hour]

    init(campaign: String, _ basis: ForecastBasis, _ forecast: Forecast) {
        self.campaign = campaign
        self.start = basis.plan.start
        self.end = forecast.end
        self.ending = forecast.ending
        self.windowOpens = forecast.windowOpens
        self.calls = forecast.calls
        self.contacts = Contacts(
            total: forecast.contacts.total,
            completed: forecast.contacts.completed,
            refused: forecast.contacts.refused,
            exhausted: forecast.contacts.exhausted,
            unfinished: forecast.contacts.unfinished,
            untouched: forecast.contacts.untouched,
            byAttempts: forecast.contactsByAttempts
        )
        self.binds = forecast.binds
        self.bound = Self.shares(forecast.bound)
        self.assumptions = basis.assumptions
        self.hours = forecast.hours.map { hour in
            Hour(
                start: hour.start,
                calls: hour.calls,
                completed: hour.completed,
                refused: hour.refused,
                exhausted: hour.exhausted,
                liveCalls: hour.liveCalls,
                waiting: hour.waiting,
                openSeconds: hour.openSeconds,
                binds: hour.binds,
                bound: Self.shares(hour.bound)
            )
        }
    }

    private static func shares(_ bound: [Forecast.Rule: Int]) -> [String: Double] {
        let all = Double(bound.values.reduce(0, +))
        return Dictionary(uniqueKeysWithValues: bound.map { ($0.key.rawValue, Double($0.value) / all) })
    }

    func print(_ forecast: Forecast, _ plan: ForecastPlan) {
        Console.table(
            ["ASSUMPTION", "VALUE", "SOURCE"],
            self.assumptions.map { [$0.name, $0.value, $0.source] }
        )
        Console.line()
        Console.line(self.ends(plan.timeZone))
        let contacts = self.contacts
        func share(_ count: Int) -> String {
            Console.percent(contacts.total > 0 ? Double(count) / Double(contacts.total) : nil)
        }
        Console.table(
            ["CONTACTS AT THE END", "#COUNT", "#SHARE"],
            [
                ("completed", contacts.completed), ("refused", contacts.refused),
                ("exhausted: all attempts used up", contacts.exhausted),
                ("called, with attempts left", contacts.unfinished), ("never called", contacts.untouched),
            ].map { [$0.0, "\($0.1)", share($0.1)] }
        )
        Console.line("calls  \(self.calls)")
        guard self.calls > 0 else { return }
        Console.line("what held more calls back while a window was open: \(Self.words(forecast.bound))")
        Console.line()
        ForecastTables.days(forecast, plan.timeZone)
        Console.line()
        ForecastTables.firstDay(forecast, plan.timeZone)
        Console.line()
        ForecastTables.chart(forecast, plan.timeZone)
    }

    private func ends(_ zone: TimeZone) -> String {
        let end = ForecastBasis.clock(self.end, zone)
        let left = self.contacts.unfinished + self.contacts.untouched
        switch self.ending {
        case .nothingLeft where self.contacts.total == 0: return "there is nobody to call"
        case .nothingLeft: return "ends at \(end): every contact's story is over"
        case .targetReached: return "ends at \(end): the target is reached"
        case .endDate: return "the end date comes first, with \(left) contacts left; the last call ends at \(end)"
        case .horizon where !self.windowOpens: return "never begins: no contact's window opens before \(end)"
        case .horizon: return "does not end before \(end), where this forecast stops; \(left) contacts are left by then"
        }
    }

    /// `lines 83 %, retry pauses 17 %`, the longest first.
    static func words(_ bound: [Forecast.Rule: Int]) -> String {
        Self.shares(bound).sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .filter { $0.value >= 0.005 }
            .map { "\($0.key.replacing("_", with: " ")) \(String(format: "%.0f %%", $0.value * 100))" }
            .joined(separator: ", ")
    }
}
