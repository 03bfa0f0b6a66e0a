// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Reads contacts from the records of a CSV file: the header says which column is which.
public struct ContactColumns: Sendable {
    /// The columns that are understood, in their usual order.
    public static let names = [
        "external_contact_id", "phone_number", "email", "language", "has_prior_consent", "do_not_call", "time_zone",
    ]

    /// One contact, checked but for its time zone.
    public struct Row: Sendable, Equatable {
        /// Its id in the system that it comes from.
        public var externalID: String?
        /// The number.
        public var phoneNumber: PhoneNumber
        /// The e-mail address.
        public var email: String?
        /// The language to interview in.
        public var language: String?
        /// Whether consent is on record.
        public var hasPriorConsent = false
        /// Whether the contact must not be called.
        public var doNotCall = false
        /// The IANA zone.
        public var timeZone: String?
    }

    /// Why a header or a row cannot be used.
    public struct Fault: Error, Sendable, Equatable, CustomStringConvertible {
        /// The reason; names the column.
        public let reason: String
        /// The reason.
        public var description: String { self.reason }

        /// Creates a fault.
        /// - Parameter reason: The reason; names the column.
        public init(reason: String) {
            self.reason = reason
        }
    }

    private let columns: [String]

    /// Reads the header.
    /// - Throws: ``Fault`` when a column is unknown, there twice, or `phone_number` is missing.
    public init(header: [String]) throws(Fault) {
        let columns = header.map { $0.trimmed.lowercased() }
        let known = Self.names.joined(separator: ", ")
        for (index, column) in columns.enumerated() {
            guard Self.names.contains(column) else {
                throw Fault(reason: "the header has an unknown column '\(column)'; known are \(known)")
            }
            guard !columns[..<index].contains(column) else {
                throw Fault(reason: "the header has the column '\(column)' twice")
            }
        }
        guard columns.contains("phone_number") else {
            throw Fault(reason: "the header has no column phone_number; known are \(known)")
        }
        self.columns = columns
    }

    /// Reads one record.
    /// - Throws: ``Fault`` with the reason for the rejects file.
    public func row(_ fields: [String]) throws(Fault) -> Row {
        guard fields.count == self.columns.count else {
            throw Fault(reason: "has \(fields.count) fields, the header has \(self.columns.count)")
        }
        var values: [String: String] = [:]
        for (column, field) in zip(self.columns, fields) {
            let value = field.trimmed
            guard !value.unicodeScalars.contains("\0") else { throw Fault(reason: "\(column) holds a zero byte") }
            guard value.utf8.count <= 320 else { throw Fault(reason: "\(column) is longer than 320 bytes") }
            if !value.isEmpty { values[column] = value }
        }
        let phoneNumber: PhoneNumber
        do {
            phoneNumber = try PhoneNumber(values["phone_number"] ?? "")
        } catch {
            throw Fault(reason: "phone_number \(error.reason)")
        }
        var row = Row(phoneNumber: phoneNumber)
        row.externalID = values["external_contact_id"]
        row.email = values["email"]
        row.language = values["language"]
        row.hasPriorConsent = try Self.bool(values["has_prior_consent"], "has_prior_consent")
        row.doNotCall = try Self.bool(values["do_not_call"], "do_not_call")
        row.timeZone = values["time_zone"]
        if let email = row.email, !email.contains("@") { throw Fault(reason: "email has no @") }
        return row
    }

    private static func bool(_ text: String?, _ column: String) throws(Fault) -> Bool {
        switch text?.lowercased() {
        case nil, "false", "f", "no", "n", "0": false
        case "true", "t", "yes", "y", "1": true
        default: throw Fault(reason: "\(column) is neither true nor false")
        }
    }
}

extension String {
    fileprivate var trimmed: String {
        var text = self[...]
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }
}
