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
    private enum Place: Sendable {
        case column(Column)
        case leftOut
        /// Without a name: spreadsheets write such, which are empty.
        case unnamed
    }

    private let places: [Place]

    /// Reads the header.
    /// - Parameters:
    ///   - header: The names of the file's columns, in any case.
    ///   - needed: The column without which the file is of no use.
    ///   - map: Which of the file's names stands for which of ours.
    ///   - ignoresOthers: Whether to leave out columns that are not understood.
    /// - Throws: ``RowFault`` when a column is unknown, there twice, or the needed one is missing.
    init(header: [String], needed: Column, map: [String: String], ignoresOthers: Bool) throws(RowFault) {
        let header = header.map(\.trimmed)
        guard !header.contains(where: { $0.utf8.contains(0) }) else {
            throw RowFault(reason: "the header holds zero bytes: is the file UTF-16? --encoding tells")
        }
        let known = Column.allCases.map(\.rawValue).joined(separator: ", ")
        let words = HeaderWords(header, known: Set(Column.allCases.map(\.rawValue) + map.values.map(\.trimmed)))
        let renamed = try Self.renamed(map, words, known)
        let columns = header.map { renamed[$0.lowercased()] ?? Column(rawValue: $0.lowercased()) }
        for column in Column.allCases where columns.count(where: { $0 == column }) > 1 {
            throw RowFault(reason: "the header has the column '\(column.rawValue)' twice")
        }
        let hasNeeded = columns.contains(needed)
        if !hasNeeded, !words.areNames {
            throw RowFault(
                reason:
                    "the first line does not look like the names of columns: put a line with names in front, or tell "
                    + "them in their order, --columns \(needed.rawValue),-,…; known are \(known)"
            )
        }
        if !ignoresOthers || !hasNeeded,
            let index = columns.indices.first(where: { columns[$0] == nil && !header[$0].isEmpty })
        {
            let other = words.shown(index)
            let ours = hasNeeded ? "COLUMN" : needed.rawValue
            throw RowFault(
                reason: "the header has an unknown column \(other ?? "(number \(index + 1))"); known are \(known); "
                    + (hasNeeded ? "" : "\(needed.rawValue) is missing: ")
                    + "--map '\(ours)=\(other?.filter { $0 != "'" } ?? "…")' says what it is, --ignore-other-columns leaves "
                    + "it out"
            )
        }
        guard hasNeeded else {
            throw RowFault(reason: "the header has no column \(needed.rawValue); known are \(known)")
        }
        self.places = zip(columns, header).map { column, name in
            column.map { .column($0) } ?? (name.isEmpty && !ignoresOthers ? .unnamed : .leftOut)
        }
    }

    /// The columns of a file without a header.
    /// - Parameters:
    ///   - order: Our names in the order of the file's columns; `-` leaves one out.
    ///   - needed: The column without which the file is of no use.
    /// - Throws: ``RowFault`` when a column is unknown, there twice, or the needed one is missing.
    init(order: [String], needed: Column) throws(RowFault) {
        let known = Column.allCases.map(\.rawValue).joined(separator: ", ")
        var places: [Place] = []
        var columns: Set<Column> = []
        for name in order.map({ $0.trimmed.lowercased() }) {
            if name == "-" {
                places.append(.leftOut)
                continue
            }
            guard let column = Column(rawValue: name), columns.insert(column).inserted else {
                throw RowFault(
                    reason: "--columns: '\(name)' is no column, or there twice; known are \(known), and - for others"
                )
            }
            places.append(.column(column))
        }
        guard columns.contains(needed) else { throw RowFault(reason: "--columns: \(needed.rawValue) is missing") }
        self.places = places
    }

    private static func renamed(
        _ map: [String: String],
        _ words: HeaderWords,
        _ known: String
    ) throws(RowFault) -> [String: Column] {
        var renamed: [String: Column] = [:]
        for (name, other) in map.sorted(by: { $0.key < $1.key }) {
            guard let column = Column(rawValue: name) else {
                throw RowFault(reason: "--map \(name)=\(other): there is no column '\(name)'; known are \(known)")
            }
            guard words.header.contains(where: { $0.lowercased() == other.trimmed.lowercased() }) else {
                let found = words.all
                throw RowFault(reason: "--map \(name)=\(other): the header has no column '\(other)'; it has \(found)")
            }
            renamed[other.trimmed.lowercased()] = column
        }
        return renamed
    }

    /// Reads one record.
    /// - Parameters:
    ///   - fields: Its fields; the last may be missing, which are empty then.
    ///   - body: Called with each column that is understood and not empty, white space around it taken off.
    /// - Throws: ``RowFault`` with the reason, also from `body`.
    func read(_ fields: [String], _ body: (Column, String) throws(RowFault) -> Void) throws(RowFault) {
        guard fields.count <= self.places.count || fields[self.places.count...].allSatisfy(\.isBlank) else {
            throw RowFault(reason: "has \(fields.count) fields, the header has \(self.places.count)")
        }
        for (index, (place, field)) in zip(self.places, fields).enumerated() {
            guard case .column(let column) = place else {
                if case .unnamed = place, !field.isBlank {
                    throw RowFault(
                        reason: "has a value in column \(index + 1), which has no name: give it one, or "
                            + "--ignore-other-columns leaves it out"
                    )
                }
                continue
            }
            let value = SpreadsheetCell.original(field.trimmed).trimmed
            guard !value.utf8.contains(0) else { throw RowFault(reason: "\(column.rawValue) holds a zero byte") }
            guard value.utf8.count <= 320 else { throw RowFault(reason: "\(column.rawValue) is longer than 320 bytes") }
            if value.isEmpty { continue }
            try body(column, value)
        }
    }
}

extension String {
    /// Whether a cell holds nothing: white space, or the zero bytes with which some programs fill up.
    public var isBlank: Bool {
        self.utf8.first.map { $0 > 0x20 && $0 < 0x7F } != true && self.allSatisfy { $0.isWhitespace || $0 == "\0" }
    }

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
