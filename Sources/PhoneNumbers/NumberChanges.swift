// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Schemas

/// What has changed in number plans since the library's tables: ranges that were assigned, and numbers that have got a
/// new form. It takes precedence over the tables.
public struct NumberChanges: Sendable {
    private struct Document: Decodable {
        struct Form: Decodable {
            let prefix: String
            let digits: Int
        }

        struct Range: Decodable {
            let region: String
            let code: String
            let prefixes: [String]
            let digits: Int
            let source: String
            let read: String
        }

        struct Renumbering: Decodable {
            let code: String
            let from: Form
            let to: Form
            let source: String
            let read: String
        }

        let version: String
        let ranges: [Range]
        let renumbered: [Renumbering]
    }

    private struct Form: Hashable {
        let beginning: String
        let length: Int

        func matches(_ e164: String) -> Bool { e164.utf8.count == self.length && e164.hasPrefix(self.beginning) }
    }

    /// The day on which it was made.
    public let version: String
    private let regions: [Form: String]
    private let renumbered: [(from: Form, to: Form)]

    /// What is known to this program.
    public static let shipped: NumberChanges = {
        do {
            return try NumberChanges(json: Data(Schemas.numberChanges.utf8))
        } catch {
            preconditionFailure("Schemas/Numbers: \(error)")
        }
    }()

    /// Reads a document such as `Schemas/Numbers/changes-since.json`.
    /// - Parameter json: The document.
    /// - Throws: ``NumberPlan/Fault`` with the reason; names the entry.
    public init(json: Data) throws(NumberPlan.Fault) {
        let document: Document
        do {
            document = try JSONDecoder().decode(Document.self, from: json)
        } catch {
            throw NumberPlan.Fault(reason: "is not a document of changes in number plans: \(Self.words(error))")
        }
        var regions: [Form: String] = [:]
        for (index, range) in document.ranges.enumerated() {
            let place = "ranges[\(index)]"
            try Self.check(place, NumberPlan.regions.contains(range.region), "region is no country")
            try Self.check(place, !range.prefixes.isEmpty, "has no prefixes")
            try Self.check(place, !range.source.isEmpty && !range.read.isEmpty, "has no source, or no day")
            for prefix in range.prefixes {
                regions[try Self.form(place, range.code, prefix, range.digits)] = range.region
            }
        }
        var renumbered: [(from: Form, to: Form)] = []
        for (index, change) in document.renumbered.enumerated() {
            let place = "renumbered[\(index)]"
            try Self.check(place, !change.source.isEmpty && !change.read.isEmpty, "has no source, or no day")
            let isSame =
                change.from.digits - change.from.prefix.count == change.to.digits - change.to.prefix.count
            try Self.check(place, isSame, "would lose digits")
            renumbered.append(
                (
                    from: try Self.form(place, change.code, change.from.prefix, change.from.digits),
                    to: try Self.form(place, change.code, change.to.prefix, change.to.digits)
                )
            )
        }
        self.version = document.version
        self.regions = regions
        self.renumbered = renumbered
    }

    private static func words(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return "it is not JSON" }
        switch error {
        case .keyNotFound(let key, _): return "'\(key.stringValue)' is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return "'\(context.codingPath.map(\.stringValue).joined(separator: "."))' has another type"
        default: return "it is not JSON"
        }
    }

    private static func check(_ place: String, _ isRight: Bool, _ fault: String) throws(NumberPlan.Fault) {
        guard isRight else { throw NumberPlan.Fault(reason: "\(place) \(fault)") }
    }

    private static func form(
        _ place: String,
        _ code: String,
        _ prefix: String,
        _ digits: Int
    ) throws(NumberPlan.Fault) -> Form {
        let isNumber = (code + prefix).utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
        try Self.check(place, isNumber && 1...3 ~= code.count, "code and prefix are no digits")
        try Self.check(place, 7...15 ~= code.count + digits && prefix.count < digits, "digits are too few, or too many")
        return Form(beginning: "+" + code + prefix, length: 1 + code.count + digits)
    }

    /// The country of a number that lies in a range of these.
    func region(of e164: String) -> String? {
        let length = e164.utf8.count
        for end in 2...max(2, min(length, 9)) {
            if let region = self.regions[Form(beginning: String(e164.prefix(end)), length: length)] { return region }
        }
        return nil
    }

    /// The number that one in a former form is today; itself for all others.
    func current(_ e164: String) -> String {
        for change in self.renumbered where change.from.matches(e164) {
            return change.to.beginning + e164.dropFirst(change.from.beginning.count)
        }
        return e164
    }

    /// The forms that a number had before.
    /// - Parameter number: The number as it is today.
    /// - Returns: The same number, as it may be stored still.
    public func formerForms(of number: PhoneNumber) -> [PhoneNumber] {
        self.renumbered.filter { $0.to.matches(number.e164) }.compactMap { change in
            try? PhoneNumber(change.from.beginning + number.e164.dropFirst(change.to.beginning.count))
        }
    }
}
