// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Reads contacts from the records of a CSV file: the header says which column is which.
public struct ContactColumns: Sendable {
    private enum Column: String, CaseIterable {
        case externalID = "external_contact_id"
        case phoneNumber = "phone_number"
        case email
        case language
        case hasPriorConsent = "has_prior_consent"
        case doNotCall = "do_not_call"
        case timeZone = "time_zone"
        case region
        case cell
    }

    /// The columns that are understood, in their usual order.
    public static let names = Column.allCases.map(\.rawValue)

    /// One contact, checked but for its number, its time zone, and whether its region exists.
    public struct Row: Sendable, Equatable {
        /// Its id in the system that it comes from.
        public var externalID: String?
        /// The number as it is written.
        public var phoneNumber = ""
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
        /// The country where the contact is, two upper-case letters.
        public var region: String?
        /// The quota cell.
        public var cell: String?
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

    /// A nil column is left out.
    private let columns: [Column?]

    /// Reads the header.
    /// - Parameters:
    ///   - header: The names of the file's columns, in any case.
    ///   - map: Which of the file's names stands for which of ``names``.
    ///   - ignoresOthers: Whether to leave out columns that are not understood.
    /// - Throws: ``Fault`` when a column is unknown, there twice, or `phone_number` is missing.
    public init(header: [String], map: [String: String] = [:], ignoresOthers: Bool = false) throws(Fault) {
        let header = header.map(\.trimmed)
        let known = Self.names.joined(separator: ", ")
        var renamed: [String: Column] = [:]
        for (name, other) in map.sorted(by: { $0.key < $1.key }) {
            guard let column = Column(rawValue: name) else {
                throw Fault(reason: "--map \(name)=\(other): there is no column '\(name)'; known are \(known)")
            }
            guard header.contains(where: { $0.lowercased() == other.trimmed.lowercased() }) else {
                let found = header.joined(separator: ", ")
                throw Fault(reason: "--map \(name)=\(other): the header has no column '\(other)'; it has \(found)")
            }
            renamed[other.trimmed.lowercased()] = column
        }
        var columns: [Column?] = []
        for name in header {
            let column = renamed[name.lowercased()] ?? Column(rawValue: name.lowercased())
            if let column, columns.contains(column) {
                throw Fault(reason: "the header has the column '\(column.rawValue)' twice")
            }
            columns.append(column)
        }
        let hasNumber = columns.contains(.phoneNumber)
        if !ignoresOthers || !hasNumber, let index = columns.firstIndex(of: nil) {
            let other = header[index]
            let ours = hasNumber ? "COLUMN" : Column.phoneNumber.rawValue
            throw Fault(
                reason: "the header has an unknown column '\(other)'; known are \(known); "
                    + (hasNumber ? "" : "phone_number is missing: ")
                    + "--map '\(ours)=\(other)' says what it is, --ignore-other-columns leaves it out"
            )
        }
        guard hasNumber else {
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
        var row = Row()
        for (column, field) in zip(self.columns, fields) {
            guard let column else { continue }
            let value = field.trimmed
            guard !value.utf8.contains(0) else { throw Fault(reason: "\(column.rawValue) holds a zero byte") }
            guard value.utf8.count <= 320 else { throw Fault(reason: "\(column.rawValue) is longer than 320 bytes") }
            if value.isEmpty { continue }
            switch column {
            case .externalID: row.externalID = value
            case .phoneNumber: row.phoneNumber = value
            case .email: row.email = try Self.email(value)
            case .language: row.language = value
            case .hasPriorConsent: row.hasPriorConsent = try Self.bool(value, column)
            case .doNotCall: row.doNotCall = try Self.bool(value, column)
            case .timeZone: row.timeZone = value
            case .region: row.region = try Self.region(value)
            case .cell: row.cell = try Self.cell(value)
            }
        }
        return row
    }

    private static func email(_ text: String) throws(Fault) -> String {
        guard text.utf8.contains(UInt8(ascii: "@")) else { throw Fault(reason: "email has no @") }
        return text
    }

    private static func bool(_ text: String, _ column: Column) throws(Fault) -> Bool {
        switch text.lowercased() {
        case "false", "f", "no", "n", "0": false
        case "true", "t", "yes", "y", "1": true
        default: throw Fault(reason: "\(column.rawValue) is neither true nor false")
        }
    }

    private static func region(_ text: String) throws(Fault) -> String {
        let code = text.uppercased()
        guard code.utf8.count == 2, code.utf8.allSatisfy({ (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) })
        else {
            throw Fault(reason: "region is not a country code such as DE (ISO 3166 alpha-2)")
        }
        return code
    }

    private static func cell(_ text: String) throws(Fault) -> String {
        guard text.utf8.count <= 100 else { throw Fault(reason: "cell is longer than 100 bytes") }
        guard text.allSatisfy({ $0.isLetter || $0.isNumber || " -_./".contains($0) }) else {
            throw Fault(reason: "cell may hold letters, digits, spaces and -_./ only")
        }
        return text
    }
}

extension String {
    fileprivate var trimmed: String {
        // The common case: begins and ends with an ASCII character that is no white space.
        if let first = self.utf8.first, let last = self.utf8.last, (0x21...0x7E).contains(first),
            (0x21...0x7E).contains(last)
        {
            return self
        }
        var text = self[...]
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }
}
