// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Why a file's header or one of its rows cannot be used.
public struct RowFault: Error, Sendable, Equatable, CustomStringConvertible {
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

/// Which of a file's columns is which of ours, by the file's header. Strict: what is not understood might hold a number
/// that must not be called.
struct FileColumns<Column>: Sendable
where Column: RawRepresentable<String> & CaseIterable & Hashable & Sendable {
    /// A nil column is left out.
    private let columns: [Column?]

    /// Reads the header.
    /// - Parameters:
    ///   - header: The names of the file's columns, in any case.
    ///   - needed: The column without which the file is of no use.
    ///   - map: Which of the file's names stands for which of ours.
    ///   - ignoresOthers: Whether to leave out columns that are not understood.
    /// - Throws: ``RowFault`` when a column is unknown, there twice, or the needed one is missing.
    init(header: [String], needed: Column, map: [String: String], ignoresOthers: Bool) throws(RowFault) {
        let header = header.map(\.trimmed)
        let known = Column.allCases.map(\.rawValue).joined(separator: ", ")
        let renamed = try Self.renamed(map, header, known)
        var columns: [Column?] = []
        for name in header {
            let column = renamed[name.lowercased()] ?? Column(rawValue: name.lowercased())
            if let column, columns.contains(column) {
                throw RowFault(reason: "the header has the column '\(column.rawValue)' twice")
            }
            columns.append(column)
        }
        let hasNeeded = columns.contains(needed)
        if !ignoresOthers || !hasNeeded, let index = columns.firstIndex(of: nil) {
            let other = header[index]
            let ours = hasNeeded ? "COLUMN" : needed.rawValue
            throw RowFault(
                reason: "the header has an unknown column '\(other)'; known are \(known); "
                    + (hasNeeded ? "" : "\(needed.rawValue) is missing: ")
                    + "--map '\(ours)=\(other)' says what it is, --ignore-other-columns leaves it out"
            )
        }
        guard hasNeeded else {
            throw RowFault(reason: "the header has no column \(needed.rawValue); known are \(known)")
        }
        self.columns = columns
    }

    private static func renamed(
        _ map: [String: String],
        _ header: [String],
        _ known: String
    ) throws(RowFault) -> [String: Column] {
        var renamed: [String: Column] = [:]
        for (name, other) in map.sorted(by: { $0.key < $1.key }) {
            guard let column = Column(rawValue: name) else {
                throw RowFault(reason: "--map \(name)=\(other): there is no column '\(name)'; known are \(known)")
            }
            guard header.contains(where: { $0.lowercased() == other.trimmed.lowercased() }) else {
                let found = header.joined(separator: ", ")
                throw RowFault(reason: "--map \(name)=\(other): the header has no column '\(other)'; it has \(found)")
            }
            renamed[other.trimmed.lowercased()] = column
        }
        return renamed
    }

    /// Reads one record.
    /// - Parameters:
    ///   - fields: Its fields.
    ///   - body: Called with each column that is understood and not empty, white space around it taken off.
    /// - Throws: ``RowFault`` with the reason, also from `body`.
    func read(_ fields: [String], _ body: (Column, String) throws(RowFault) -> Void) throws(RowFault) {
        guard fields.count == self.columns.count else {
            throw RowFault(reason: "has \(fields.count) fields, the header has \(self.columns.count)")
        }
        for (column, field) in zip(self.columns, fields) {
            guard let column else { continue }
            let value = field.trimmed
            guard !value.utf8.contains(0) else { throw RowFault(reason: "\(column.rawValue) holds a zero byte") }
            guard value.utf8.count <= 320 else { throw RowFault(reason: "\(column.rawValue) is longer than 320 bytes") }
            if value.isEmpty { continue }
            try body(column, value)
        }
    }
}

extension String {
    var trimmed: String {
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
