// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Instants as messages carry them: `2026-11-25T20:14:57.123Z`.
///
/// Source: RFC 3339. Days are counted by the civil calendar's cycle of 400 years; leap seconds do not exist here, as
/// they do not in POSIX time.
enum InternetInstant {
    private static let daysPerEra = 146_097
    /// Days from 0000-03-01 to 1970-01-01.
    private static let epochDays = 719_468

    /// Appends an instant, rounded to the millisecond, so that reading and writing it again changes nothing. Beyond the years
    /// 0 to 9999, which the form cannot say, the nearest that it can.
    static func append(_ date: Date, to bytes: inout [UInt8]) {
        let limits = -62_167_219_200_000.0...253_402_300_799_999.0
        let exact = (date.timeIntervalSince1970 * 1000).rounded()
        let milliseconds = Int(min(max(exact, limits.lowerBound), limits.upperBound))
        let (days, rest) = milliseconds.flooredDivision(by: 86_400_000)
        let (year, month, day) = Self.civil(days)
        func digits(_ value: Int, _ count: Int) {
            var divisor = count == 4 ? 1000 : count == 3 ? 100 : 10
            while divisor > 0 {
                bytes.append(UInt8(0x30 + value / divisor % 10))
                divisor /= 10
            }
        }
        digits(year, 4)
        bytes.append(UInt8(ascii: "-"))
        digits(month, 2)
        bytes.append(UInt8(ascii: "-"))
        digits(day, 2)
        bytes.append(UInt8(ascii: "T"))
        digits(rest / 3_600_000, 2)
        bytes.append(UInt8(ascii: ":"))
        digits(rest / 60_000 % 60, 2)
        bytes.append(UInt8(ascii: ":"))
        digits(rest / 1000 % 60, 2)
        bytes.append(UInt8(ascii: "."))
        digits(rest % 1000, 3)
        bytes.append(UInt8(ascii: "Z"))
    }

    /// Reads an instant in UTC with no fraction or with milliseconds.
    /// - Returns: Nil for every other form, which need not be wrong.
    static func parse(_ text: UnsafeRawBufferPointer) -> Date? {
        guard text.count == 24 || text.count == 20, text.last == UInt8(ascii: "Z") else { return nil }
        func number(_ range: Range<Int>) -> Int? {
            var value = 0
            for byte in text[range] {
                guard case 0x30...0x39 = byte else { return nil }
                value = value * 10 + Int(byte - 0x30)
            }
            return value
        }
        guard text[4] == UInt8(ascii: "-"), text[7] == UInt8(ascii: "-"), text[10] == UInt8(ascii: "T"),
            text[13] == UInt8(ascii: ":"), text[16] == UInt8(ascii: ":"),
            let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
            1...12 ~= month, day >= 1, hour < 24, minute < 60, second < 60
        else { return nil }
        let days = Self.days(year, month, day)
        // A day that the month does not have comes out as another.
        guard Self.civil(days) == (year, month, day) else { return nil }
        var milliseconds = ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000
        if text.count == 24 {
            guard text[19] == UInt8(ascii: "."), let fraction = number(20..<23) else { return nil }
            milliseconds += fraction
        }
        return Date(timeIntervalSince1970: Double(milliseconds) / 1000)
    }

    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = year.flooredDivision(by: 400)
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * Self.daysPerEra + dayOfEra - Self.epochDays
    }

    private static func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
        let (era, dayOfEra) = (days + Self.epochDays).flooredDivision(by: Self.daysPerEra)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }
}

extension Int {
    /// The quotient rounded down, and what is left, which is never negative.
    fileprivate func flooredDivision(by divisor: Int) -> (quotient: Int, remainder: Int) {
        let (quotient, remainder) = self.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
