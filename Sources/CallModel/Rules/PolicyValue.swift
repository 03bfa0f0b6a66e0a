// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Any JSON value.
enum JSONValue: Decodable, Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case text(String)
    case list([JSONValue])
    case object([String: JSONValue])

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .list(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }
}

/// A value of a policy's document and where it stands.
struct PolicyValue {
    let path: String
    let value: JSONValue

    /// The document itself.
    static func document(_ text: String) throws(Policy.Fault) -> PolicyValue {
        guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(text.utf8)) else {
            throw Policy.Fault(path: "$", reason: "is not JSON")
        }
        return PolicyValue(path: "$", value: value)
    }

    func fault(_ reason: String) -> Policy.Fault { Policy.Fault(path: self.path, reason: reason) }

    /// The fields of an object.
    /// - Parameters:
    ///   - names: Those that it may have.
    ///   - required: Those that it must have.
    /// - Returns: The fields by name.
    /// - Throws: ``Policy/Fault`` that names the field.
    func fields(_ names: [String], required: [String]) throws(Policy.Fault) -> [String: PolicyValue] {
        guard case .object(let members) = self.value else { throw self.fault("is not an object") }
        for name in members.keys.sorted() where !names.contains(name) {
            throw Policy.Fault(
                path: "\(self.path).\(name)",
                reason: "is not a field here; known are \(names.joined(separator: ", "))"
            )
        }
        for name in required where members[name] == nil {
            throw Policy.Fault(path: "\(self.path).\(name)", reason: "is missing")
        }
        var fields: [String: PolicyValue] = [:]
        for (name, value) in members { fields[name] = PolicyValue(path: "\(self.path).\(name)", value: value) }
        return fields
    }

    func elements(atLeast minimum: Int = 0) throws(Policy.Fault) -> [PolicyValue] {
        guard case .list(let values) = self.value else { throw self.fault("is not a list") }
        guard values.count >= minimum else { throw self.fault("is empty") }
        return values.enumerated().map { PolicyValue(path: "\(self.path)[\($0.offset)]", value: $0.element) }
    }

    func text(_ length: ClosedRange<Int> = 1...600) throws(Policy.Fault) -> String {
        guard case .text(let text) = self.value else { throw self.fault("is not a text") }
        guard length.contains(text.count) else {
            throw self.fault("has \(text.count) characters, not \(length.lowerBound) to \(length.upperBound)")
        }
        return text
    }

    func text(among allowed: [String]) throws(Policy.Fault) -> String {
        let text = try self.text()
        guard allowed.contains(text) else {
            throw self.fault("'\(text.prefix(40))' is none of \(allowed.joined(separator: ", "))")
        }
        return text
    }

    func date() throws(Policy.Fault) -> String {
        let text = try self.text()
        guard text.count == 10, let date = BlockedDates.date(text) else {
            throw self.fault("'\(text.prefix(40))' is not a date like 2026-12-25")
        }
        return date
    }

    func integer(_ range: ClosedRange<Int>) throws(Policy.Fault) -> Int {
        guard case .integer(let value) = self.value else { throw self.fault("is not a whole number") }
        guard range.contains(value) else {
            throw self.fault("\(value) is not in \(range.lowerBound)…\(range.upperBound)")
        }
        return value
    }

    func bool() throws(Policy.Fault) -> Bool {
        guard case .bool(let value) = self.value else { throw self.fault("is neither true nor false") }
        return value
    }
}
