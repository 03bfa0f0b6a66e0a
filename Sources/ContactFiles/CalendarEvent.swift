// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CIcal

/// What a VEVENT says of when it is: RFC 5545, section 3.6.1.
struct CalendarEvent {
    /// A moment that the event also takes place at, or does not.
    struct Exception {
        let start: CalendarTime
        /// In seconds; nil for as long as the event itself.
        var length: Int?
    }

    private(set) var uid = ""
    private(set) var isCancelled = false
    private(set) var start: CalendarTime?
    private(set) var rules: [(line: Int, text: String)] = []
    private(set) var additions: [Exception] = []
    private(set) var removals: [CalendarTime] = []
    /// The occurrence that this event stands for, if it changes one of another event.
    private(set) var occurrence: CalendarTime?
    private var end: (time: CalendarTime, line: Int)?
    private var duration: Int?

    /// Takes one of its properties; those that say nothing of dates are passed over.
    mutating func take(_ line: ContentLine) throws(DateFile.Fault) {
        switch line.name {
        case "UID": self.uid = line.value
        case "STATUS": self.isCancelled = line.value.uppercased() == "CANCELLED"
        case "DTSTART": self.start = try Self.time(line.value, line)
        case "DTEND": self.end = (try Self.time(line.value, line), line.number)
        case "DURATION": self.duration = try Self.duration(line.value, line)
        case "RRULE": self.rules.append((line.number, line.value))
        case "RECURRENCE-ID": self.occurrence = try Self.time(line.value, line)
        case "EXDATE":
            for value in line.value.split(separator: ",") { self.removals.append(try Self.time(value, line)) }
        case "RDATE":
            for value in line.value.split(separator: ",") { self.additions.append(try Self.period(value, line)) }
        default: break
        }
    }

    /// How long it lasts.
    /// - Parameter zones: For an end on another clock than the start's.
    /// - Returns: Seconds on its clock; 0 when only its beginning is known.
    /// - Throws: When it ends before it starts.
    func length(_ zones: CalendarZones) throws(DateFile.Fault) -> Int {
        guard let start = self.start else { return 0 }
        if let end = self.end {
            let length = Self.length(from: start, to: end.time, zones)
            guard length >= 0 else { throw DateFile.Fault(line: end.line, reason: "DTEND is before DTSTART") }
            return length
        }
        return self.duration ?? 0
    }

    private static func length(from start: CalendarTime, to end: CalendarTime, _ zones: CalendarZones) -> Int {
        func seconds(_ end: CalendarTime) -> Int {
            icaltime_subtract(end.onWallClock, start.onWallClock).inSeconds
        }
        if start.isUTC == end.isUTC, start.zone == end.zone || start.isDate || end.isDate { return seconds(end) }
        if let converted = zones.convert(end, to: start.isUTC ? "UTC" : start.zone) { return seconds(converted) }
        // Two clocks of which one is not known: a day more at worst.
        return seconds(end.adding(days: 1))
    }

    private static func time(
        _ text: some StringProtocol,
        _ line: ContentLine
    ) throws(DateFile.Fault) -> CalendarTime {
        guard let time = CalendarTime(text, zone: line.parameters["TZID"] ?? "") else {
            throw DateFile.Fault(line: line.number, reason: "\(line.name) holds no date")
        }
        return time
    }

    private static func duration(
        _ text: some StringProtocol,
        _ line: ContentLine
    ) throws(DateFile.Fault) -> Int {
        let duration = icaldurationtype_from_string(String(text).uppercased())
        let seconds = duration.inSeconds
        guard icaldurationtype_is_bad_duration(duration) == 0, seconds >= 0 else {
            throw DateFile.Fault(line: line.number, reason: "\(line.name) holds no duration like P3D")
        }
        return seconds
    }

    /// PERIOD, `start/end` or `start/duration`, or just a start.
    private static func period(_ text: Substring, _ line: ContentLine) throws(DateFile.Fault) -> Exception {
        let parts = text.split(separator: "/", maxSplits: 1)
        let start = try Self.time(parts.first ?? "", line)
        guard parts.count > 1 else { return Exception(start: start) }
        guard parts[1].uppercased().hasPrefix("P") else {
            let end = try Self.time(parts[1], line)
            return Exception(start: start, length: Self.length(from: start, to: end, CalendarZones()))
        }
        return Exception(start: start, length: try Self.duration(parts[1], line))
    }
}

extension CalendarTime {
    /// The same figures as a time of day that belongs to no zone; of a date its midnight.
    var onWallClock: icaltimetype {
        var time = self.time
        time.is_date = 0
        time.zone = nil
        return time
    }
}

extension icaldurationtype {
    /// Without the overflow of `icaldurationtype_as_int`, which counts in 32 bits.
    fileprivate var inSeconds: Int {
        let days = Int(self.weeks) * 7 + Int(self.days)
        let seconds = ((days * 24 + Int(self.hours)) * 60 + Int(self.minutes)) * 60 + Int(self.seconds)
        return self.is_neg != 0 ? -seconds : seconds
    }
}
