// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CIcal
import CallModel

/// A date, or a time of day on a date, as a calendar writes it.
struct CalendarTime {
    /// As libical has it: wall-clock time of `zone`, UTC, or of wherever one is.
    var time: icaltimetype
    /// The zone's name where one is given, else empty.
    var zone = ""

    var isDate: Bool { self.time.is_date != 0 }
    var isUTC: Bool { icaltime_is_utc(self.time) != 0 }

    /// Reads DATE or DATE-TIME. What it is shows in its shape: programs put a time under VALUE=DATE.
    /// - Returns: Nil when it is neither, or there is no such date.
    init?(_ text: some StringProtocol, zone: String = "") {
        guard let parts = String(text).wholeMatch(of: /(\d{8})(?:[Tt](\d{6})([Zz]?))?/) else { return nil }
        guard BlockedDates.date(parts.1) != nil else { return nil }
        self.time = icaltime_from_string(String(text).uppercased())
        guard icaltime_is_null_time(self.time) == 0, self.time.year > 0 else { return nil }
        if parts.2 != nil {
            guard 0...23 ~= self.time.hour, 0...59 ~= self.time.minute, 0...60 ~= self.time.second else { return nil }
        }
        self.zone = self.isUTC || self.isDate ? "" : zone
    }

    /// The day as `YYYY-MM-DD`.
    var day: String { Self.day(of: self.time) }

    static func day(of time: icaltimetype) -> String {
        func padded(_ value: Int32, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        return "\(padded(time.year, 4))-\(padded(time.month, 2))-\(padded(time.day, 2))"
    }

    /// The same time of day on another date.
    func adding(days: Int32) -> CalendarTime {
        var result = self
        icaltime_adjust(&result.time, days, 0, 0, 0)
        return result
    }

    /// So much later on the same clock.
    func adding(seconds: Int) -> CalendarTime {
        var result = self
        icaltime_adjust(&result.time, Int32(clamping: seconds / 86_400), 0, 0, Int32(seconds % 86_400))
        return result
    }
}

/// Zones by the names that a calendar uses: its own (VTIMEZONE), else those of the system.
final class CalendarZones {
    private var own: [String: OpaquePointer] = [:]

    deinit { for zone in self.own.values { icaltimezone_free(zone, 1) } }

    /// Takes a VTIMEZONE; one that cannot be read is no zone, and times in it stay as they are written.
    /// - Parameters:
    ///   - name: Its TZID.
    ///   - text: The component, from BEGIN to END.
    func add(_ name: String, _ text: String) {
        guard self.own[name] == nil, let component = icalcomponent_new_from_string(text) else { return }
        guard icalcomponent_count_errors(component) == 0, let zone = icaltimezone_new() else {
            icalcomponent_free(component)
            return
        }
        if icaltimezone_set_component(zone, component) == 0 {
            icaltimezone_free(zone, 1)
            icalcomponent_free(component)
        } else {
            self.own[name] = zone
        }
    }

    private func zone(_ name: String) -> OpaquePointer? {
        self.own[name] ?? (name.isEmpty ? nil : icaltimezone_get_builtin_timezone(name))
    }

    /// A moment on another clock.
    /// - Returns: Nil when one of the two zones is not known.
    func convert(_ moment: CalendarTime, to name: String) -> CalendarTime? {
        guard !moment.isDate, let target = name == "UTC" ? icaltimezone_get_utc_timezone() : self.zone(name) else {
            return nil
        }
        var time = moment.time
        if !moment.isUTC {
            guard let source = self.zone(moment.zone) else { return nil }
            time = icaltime_set_timezone(&time, source)
        }
        var result = moment
        result.time = icaltime_convert_to_zone(time, target)
        result.zone = name
        return result
    }
}
