// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Reads numbers that must not be called from the records of a CSV file, as strictly as ``ContactColumns`` reads contacts.
public struct ExclusionColumns: Sendable {
    private enum Column: String, CaseIterable {
        case phoneNumber = "phone_number"
        case reason
    }

    /// The columns that are understood.
    public static let names = Column.allCases.map(\.rawValue)

    /// One number, not checked yet.
    public struct Row: Sendable, Equatable {
        /// The number as it is written.
        public var phoneNumber = ""
        /// Why it must not be called.
        public var reason: String?
    }

    private let columns: FileColumns<Column>

    /// Reads the header.
    /// - Parameters:
    ///   - header: The names of the file's columns, in any case.
    ///   - map: Which of the file's names stands for which of ``names``.
    ///   - ignoresOthers: Whether to leave out columns that are not understood.
    /// - Throws: ``RowFault`` when a column is unknown, there twice, or `phone_number` is missing.
    public init(header: [String], map: [String: String] = [:], ignoresOthers: Bool = false) throws(RowFault) {
        self.columns = try FileColumns(header: header, needed: .phoneNumber, map: map, ignoresOthers: ignoresOthers)
    }

    /// The columns of a file without a header.
    /// - Parameter order: Of ``names``, in the order of the file's columns; `-` leaves one out.
    /// - Throws: ``RowFault`` when a column is unknown, there twice, or `phone_number` is missing.
    public init(order: [String]) throws(RowFault) {
        self.columns = try FileColumns(order: order, needed: .phoneNumber)
    }

    /// Reads one record.
    /// - Throws: ``RowFault`` with the reason.
    public func row(_ fields: [String]) throws(RowFault) -> Row {
        var row = Row()
        try self.columns.read(fields) { column, value throws(RowFault) in
            switch column {
            case .phoneNumber: row.phoneNumber = value
            case .reason: row.reason = value
            }
        }
        return row
    }
}
