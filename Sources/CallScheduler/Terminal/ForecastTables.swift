// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Forecasting
import Foundation

/// A forecast day by day, hour by hour and as a chart.
enum ForecastTables {
    private static let columns = [
        "#CALLS", "#COMPLETED", "#REFUSED", "#EXHAUSTED", "#LIVE CALLS", "#WAITING", "HELD BACK BY",
    ]

    private static func date(_ date: Date, _ zone: TimeZone, _ format: String) -> String {
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = zone
        formatter.dateFormat = format
        return formatter.string(from: date)
    }

    private static func cells(_ hours: [Forecast.Hour]) -> [String] {
        func sum(_ value: (Forecast.Hour) -> Int) -> Int { hours.reduce(0) { $0 + value($1) } }
        let open = sum(\.openSeconds)
        let live = open > 0 ? Double(sum(\.callSeconds)) / Double(open) : 0
        let bound = hours.reduce(into: [Forecast.Rule: Int]()) { $0.merge($1.bound, uniquingKeysWith: +) }
        return [
            "\(sum(\.calls))", "\(sum(\.completed))", "\(sum(\.refused))", "\(sum(\.exhausted))",
            String(format: "%.1f", live), "\(hours.last?.waiting ?? 0)",
            open > 0 ? ForecastView.words(bound) : "window closed",
        ]
    }

    /// Live calls are a mean over the time in which a window was open; those who wait, at the end.
    static func days(_ forecast: Forecast, _ zone: TimeZone) {
        let days = forecast.days(in: zone).compactMap { hours in hours.first.map { ($0.start, hours) } }
        let called = days.filter { $0.1.contains { $0.calls > 0 || $0.openSeconds > 0 } }
        Console.table(
            ["DAY"] + Self.columns,
            called.map { [Self.date($0.0, zone, "EEE yyyy-MM-dd")] + Self.cells($0.1) }
        )
        if days.count > called.count {
            Console.line("\(days.count - called.count) days without an open window are left out")
        }
    }

    static func firstDay(_ forecast: Forecast, _ zone: TimeZone) {
        guard let day = forecast.days(in: zone).first(where: { $0.contains { $0.openSeconds > 0 } }) else { return }
        let open = day.drop { $0.openSeconds == 0 }.reversed().drop { $0.openSeconds == 0 && $0.calls == 0 }.reversed()
        Console.table(
            ["FIRST OPEN DAY"] + Self.columns,
            open.map { [Self.date($0.start, zone, "EEE HH:mm")] + Self.cells([$0]) }
        )
    }

    /// As many whole hours per column as the terminal's width asks for.
    static func chart(_ forecast: Forecast, _ zone: TimeZone) {
        let hours = forecast.hours
        guard let first = hours.first else { return }
        let room = max(20, Self.width - 9)
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        let lead = calendar.component(.hour, from: first.start)
        let steps = [1, 2, 3, 4, 6, 8, 12, 24] + (2...60).map { $0 * 24 }
        let step = steps.first { (hours.count + lead % $0 + $0 - 1) / $0 <= room } ?? 24 * 60
        var calls: [Double] = []
        var sizes: [Double] = []
        var labels: [Int: String] = [:]
        var day: Int?
        for (index, hour) in hours.enumerated() {
            let column = (index + lead % step) / step
            if column == calls.count {
                calls.append(0)
                sizes.append(0)
            }
            calls[column] += Double(hour.calls)
            sizes[column] += 1
            let date = calendar.component(.day, from: hour.start)
            if date != day, labels[column] == nil { labels[column] = Self.date(hour.start, zone, "EEE dd") }
            day = date
        }
        let unit = step == 1 ? "hour by hour" : "each column is the mean of \(step) hours"
        Console.line("calls per hour, \(unit), on the clock of \(zone.identifier)")
        let chart = BlockChart(values: zip(calls, sizes).map { $0 / $1 }, labels: labels)
        for line in chart.lines { Console.line(line) }
    }

    private static var width: Int {
        if let columns = ProcessInfo.processInfo.environment["COLUMNS"].flatMap(Int.init), columns > 0 {
            return columns
        }
        var size = winsize()
        return ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 100
    }
}
