// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CIcal
import CallModel

/// The days that a calendar's events touch. In doubt a day counts: too much blocked is safe, too little is not.
struct CalendarDates {
    private(set) var dates: Set<String> = []
    private(set) var repeatsUntil: String?
    private let horizon: String

    private var events: [(event: CalendarEvent, line: Int)] = []
    private var zones = CalendarZones()
    /// The clock that moments in UTC are meant on, by X-WR-TIMEZONE; empty when the calendar does not say.
    private var zone = ""
    private var isCancellation = false

    init(today: String) throws(DateFile.Fault) {
        guard let year = Int(today.prefix(4)) else {
            throw DateFile.Fault(line: 0, reason: "today is no date")
        }
        self.horizon = "\(year + DateFile.yearsAhead)\(today.dropFirst(4))"
    }

    /// Reads all calendars of a file.
    mutating func read(_ lines: [String]) throws(DateFile.Fault) {
        var open: [String] = []
        var event = CalendarEvent()
        var zone: (name: String, text: String) = ("", "")
        let content = try ContentLine.read(lines)
        for line in content {
            let value = line.value.uppercased()
            if line.name == "BEGIN" {
                open.append(value)
                if open.count == 2, value == "VEVENT" { event = CalendarEvent() }
                if open.count == 2, value == "VTIMEZONE" { zone = ("", "") }
            }
            if open.count >= 2, open[1] == "VTIMEZONE" {
                zone.text += line.text + "\r\n"
                if open.count == 2, line.name == "TZID" { zone.name = line.value.filter { $0 != "\"" } }
            }
            switch (line.name, open.count) {
            case ("BEGIN", _): break
            case ("END", _):
                guard open.popLast() == value else {
                    throw DateFile.Fault(line: line.number, reason: "END of what did not begin; is the file whole?")
                }
                switch (value, open.count) {
                case ("VEVENT", 1): self.events.append((event, line.number))
                case ("VTIMEZONE", 1): self.zones.add(zone.name, zone.text)
                case ("VCALENDAR", 0): try self.finishCalendar()
                default: break
                }
            case ("METHOD", 1): self.isCancellation = value == "CANCEL"
            case ("X-WR-TIMEZONE", 1): self.zone = line.value
            case (_, 2) where open[1] == "VEVENT": try event.take(line)
            default: break
            }
        }
        guard open.isEmpty else {
            let last = content.last?.number ?? 1
            throw DateFile.Fault(line: last, reason: "the file ends within an event or a calendar: it is not whole")
        }
    }

    private mutating func finishCalendar() throws(DateFile.Fault) {
        defer {
            (self.events, self.zones, self.zone, self.isCancellation) = ([], CalendarZones(), "", false)
        }
        for (event, line) in self.events {
            guard let start = event.start else { throw DateFile.Fault(line: line, reason: "an event without DTSTART") }
            if event.isCancelled || self.isCancellation { continue }
            let length = try event.length(self.zones)
            let removed = event.removals + self.cancelledOccurrences(of: event)
            for occurrence in try self.occurrences(of: event, from: start)
            where !removed.contains(where: { self.names($0, occurrence) }) {
                try self.add(occurrence, length, line)
            }
            for addition in event.additions where !removed.contains(where: { self.names($0, addition.start) }) {
                try self.add(addition.start, addition.length ?? length, line)
            }
        }
    }

    private func cancelledOccurrences(of event: CalendarEvent) -> [CalendarTime] {
        guard event.occurrence == nil else { return [] }
        return self.events.compactMap { other in
            other.event.uid == event.uid && other.event.isCancelled ? other.event.occurrence : nil
        }
    }

    /// Whether an exception means this occurrence; a date means all of that day.
    private func names(_ exception: CalendarTime, _ occurrence: CalendarTime) -> Bool {
        if exception.isDate || occurrence.isDate { return exception.day == occurrence.day }
        let isOnSameClock = exception.isUTC == occurrence.isUTC && exception.zone == occurrence.zone
        let clock = occurrence.isUTC ? "UTC" : occurrence.zone
        guard let same = isOnSameClock ? exception : self.zones.convert(exception, to: clock) else { return false }
        return icaltime_compare(same.onWallClock, occurrence.onWallClock) == 0
    }

    /// When it begins, each time. The start is the first, whether the rule names it or not (RFC 5545, section 3.8.5.3).
    private mutating func occurrences(
        of event: CalendarEvent,
        from start: CalendarTime
    ) throws(DateFile.Fault) -> [CalendarTime] {
        var result = [start]
        for rule in event.rules {
            var recurrence = icalrecurrencetype_from_string(rule.text.uppercased())
            guard recurrence.freq != ICAL_NO_RECURRENCE else {
                throw DateFile.Fault(line: rule.line, reason: "RRULE cannot be read: export its dates one by one")
            }
            // The last one counts also when the end is written on another clock than the start.
            if icaltime_is_null_time(recurrence.until) == 0, !(start.isDate && recurrence.until.is_date != 0) {
                recurrence.until.is_date = 0
                recurrence.until.zone = nil
                icaltime_adjust(&recurrence.until, 1, 0, 0, 0)
            }
            var first = start.time
            first.zone = nil
            guard let iterator = icalrecur_iterator_new(recurrence, first) else {
                throw DateFile.Fault(line: rule.line, reason: "RRULE cannot be read: export its dates one by one")
            }
            defer { icalrecur_iterator_free(iterator) }
            var next = icalrecur_iterator_next(iterator)
            while icaltime_is_null_time(next) == 0 {
                guard CalendarTime.day(of: next) <= self.horizon else {
                    self.repeatsUntil = self.horizon
                    break
                }
                guard result.count < Self.maximumOccurrences else {
                    throw DateFile.Fault(
                        line: rule.line,
                        reason: "RRULE repeats an event more than \(Self.maximumOccurrences) times"
                    )
                }
                var occurrence = start
                occurrence.time = next
                occurrence.time.zone = start.time.zone
                result.append(occurrence)
                next = icalrecur_iterator_next(iterator)
            }
        }
        return result
    }

    /// Adds the days from an occurrence's start to before its end.
    private mutating func add(_ start: CalendarTime, _ length: Int, _ line: Int) throws(DateFile.Fault) {
        guard length <= Self.maximumDays * 86_400 else {
            throw DateFile.Fault(line: line, reason: "an event of more than \(Self.maximumDays) days")
        }
        var (first, last) = (start, start)
        first.time.is_date = 0
        last = first.adding(seconds: max(0, length - 1))
        if start.isUTC, let here = self.zones.convert(first, to: self.zone),
            let there = self.zones.convert(last, to: self.zone)
        {
            (first, last) = (here, there)
        }
        var day = first
        while day.day <= last.day {
            self.dates.insert(day.day)
            day = day.adding(days: 1)
        }
    }

    private static let maximumOccurrences = 20_000
    private static let maximumDays = 3_660
}
