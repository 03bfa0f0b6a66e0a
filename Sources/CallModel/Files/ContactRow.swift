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
        case appointmentAt = "appointment_at"
        case appointmentUntil = "appointment_until"
        case consentAt = "consent_at"
        case consentSource = "consent_source"
        case consentProof = "consent_proof"
        case postalCode = "postal_code"
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
        /// Whether consent is on record; nil when nothing is said about it.
        public var hasPriorConsent: Bool?
        /// Whether the contact must not be called.
        public var doNotCall = false
        /// The IANA zone.
        public var timeZone: String?
        /// The country where the contact is, two upper-case letters.
        public var region: String?
        /// The part of it, ISO 3166-2 such as `US-TX`, if the file names one.
        public var regionPart: String?
        /// The postal code.
        public var postalCode: String?
        /// The quota cell.
        public var cell: String?
        /// When the person wants to be called.
        public var appointmentAt: AppointmentTime?
        /// Until when that is meant.
        public var appointmentUntil: AppointmentTime?
        /// When, where and how consent was given; nil when nothing is said of it.
        public var consent: ConsentRecord?
    }

    /// Why a header or a row cannot be used.
    public typealias Fault = RowFault

    private let columns: FileColumns<Column>

    /// Reads the header.
    /// - Parameters:
    ///   - header: The names of the file's columns, in any case.
    ///   - map: Which of the file's names stands for which of ``names``.
    ///   - ignoresOthers: Whether to leave out columns that are not understood.
    /// - Throws: ``RowFault`` when a column is unknown, there twice, or `phone_number` is missing.
    public init(header: [String], map: [String: String] = [:], ignoresOthers: Bool = false) throws(Fault) {
        self.columns = try FileColumns(header: header, needed: .phoneNumber, map: map, ignoresOthers: ignoresOthers)
    }

    /// The columns of a file without a header.
    /// - Parameter order: Of ``names``, in the order of the file's columns; `-` leaves one out.
    /// - Throws: ``RowFault`` when a column is unknown, there twice, or `phone_number` is missing.
    public init(order: [String]) throws(Fault) {
        self.columns = try FileColumns(order: order, needed: .phoneNumber)
    }

    /// Reads one record.
    /// - Throws: ``RowFault`` with the reason for the rejects file.
    public func row(_ fields: [String]) throws(Fault) -> Row {
        var row = Row()
        var (consentAt, source, proof): (String?, String?, String?)
        try self.columns.read(fields) { column, value throws(Fault) in
            switch column {
            case .externalID: row.externalID = value
            case .phoneNumber: row.phoneNumber = value
            case .email: row.email = try Self.email(value)
            case .language: row.language = value
            case .hasPriorConsent: row.hasPriorConsent = try Self.bool(value, column)
            case .doNotCall: row.doNotCall = try Self.bool(value, column)
            case .timeZone: row.timeZone = value
            case .region:
                let code = try Self.region(value)
                row.region = String(code.prefix(2))
                row.regionPart = code.utf8.count > 2 ? code : nil
            case .postalCode: row.postalCode = value
            case .cell: row.cell = try Self.cell(value)
            case .appointmentAt: row.appointmentAt = try Self.time(value, column)
            case .appointmentUntil: row.appointmentUntil = try Self.time(value, column)
            case .consentAt: consentAt = value
            case .consentSource: source = value
            case .consentProof: proof = value
            }
        }
        guard row.appointmentUntil == nil || row.appointmentAt != nil else {
            throw Fault(reason: "appointment_until is there without appointment_at")
        }
        guard consentAt != nil || source != nil || proof != nil else { return row }
        guard row.hasPriorConsent != nil else {
            throw Fault(reason: "consent_at, consent_source or consent_proof is there without has_prior_consent")
        }
        row.consent = try ConsentRecord(givenAt: consentAt, source: source, proof: proof)
        return row
    }

    /// The number as written in a row that says that it must not be called, whatever else is wrong with the row.
    /// - Parameter fields: The row.
    /// - Returns: Nil when the row does not say so, or when nobody can tell its fields apart.
    public func numberToBar(_ fields: [String]) -> String? {
        var row = Row()
        try? self.columns.read(fields) { column, value throws(Fault) in
            switch column {
            case .phoneNumber: row.phoneNumber = value
            case .doNotCall: row.doNotCall = (try? Self.bool(value, column)) ?? false
            default: break
            }
        }
        return row.doNotCall && !row.phoneNumber.isEmpty ? row.phoneNumber : nil
    }

    private static func time(_ text: String, _ column: Column) throws(Fault) -> AppointmentTime {
        guard let time = AppointmentTime(text) else {
            throw Fault(reason: "\(column.rawValue) is not a time like 2026-12-03T18:30 or 2026-12-03T18:30+01:00")
        }
        return time
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
        let letters = UInt8(ascii: "A")...UInt8(ascii: "Z")
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        let part = code.utf8.dropFirst(2)
        guard code.utf8.count >= 2, code.utf8.prefix(2).allSatisfy(letters.contains),
            part.isEmpty
                || part.first == UInt8(ascii: "-") && 2...4 ~= part.count
                    && part.dropFirst().allSatisfy({ letters.contains($0) || digits.contains($0) })
        else {
            throw Fault(
                reason: "region is not a country code such as DE (ISO 3166 alpha-2), nor a part of one such as US-TX"
            )
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
