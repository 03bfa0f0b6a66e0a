// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CLibPQ
import Foundation

/// Owns one `PGresult`.
// @unchecked: a PGresult is not written after it was made, and libpq documents that threads may share it.
final class ResultHandle: @unchecked Sendable {
    let pointer: OpaquePointer

    init(adopting pointer: OpaquePointer) { self.pointer = pointer }

    deinit { PQclear(self.pointer) }

    var status: ExecStatusType { PQresultStatus(self.pointer) }

    func field(_ code: Int32) -> String? {
        PQresultErrorField(self.pointer, code).map { String(cString: $0) }
    }

    var error: PostgresError {
        let state = self.field(CLIBPQ_DIAG_SQLSTATE)
        let isStalePlan =
            switch state {
            case "26000", "42P05": true
            // The words are the server's language; the function that checks plans is what tells this from other 0A000.
            case "0A000": self.field(CLIBPQ_DIAG_SOURCE_FUNCTION) == "RevalidateCachedQuery"
            default: false
            }
        return PostgresError(
            .server,
            self.field(CLIBPQ_DIAG_MESSAGE_PRIMARY) ?? String(cString: PQresultErrorMessage(self.pointer)).trimmedLine,
            sqlState: state,
            detail: self.field(CLIBPQ_DIAG_MESSAGE_DETAIL),
            hint: self.field(CLIBPQ_DIAG_MESSAGE_HINT),
            constraintName: self.field(CLIBPQ_DIAG_CONSTRAINT_NAME),
            tableName: self.field(CLIBPQ_DIAG_TABLE_NAME),
            columnName: self.field(CLIBPQ_DIAG_COLUMN_NAME),
            isStalePlan: isStalePlan
        )
    }
}

/// What a statement brought.
public struct PostgresResult: Sendable {
    let handle: ResultHandle

    /// Rows returned.
    public var count: Int { Int(PQntuples(self.handle.pointer)) }

    /// Rows inserted, updated, deleted, selected or copied; 0 for other statements.
    public var affectedRows: Int { Int(String(cString: PQcmdTuples(self.handle.pointer))) ?? 0 }

    var commandTag: String { String(cString: PQcmdStatus(self.handle.pointer)) }

    /// A row.
    /// - Parameter row: From 0 to ``count`` - 1; others trap, like an array's.
    public subscript(row: Int) -> PostgresRow {
        precondition(row >= 0 && row < self.count, "row out of bounds")
        return PostgresRow(handle: self.handle, row: Int32(row))
    }

    /// The rows, transformed.
    /// - Parameter transform: From a row to a value.
    /// - Returns: The values.
    /// - Throws: What `transform` throws.
    public func map<T>(_ transform: (PostgresRow) throws -> T) throws -> [T] {
        try (0..<self.count).map { try transform(self[$0]) }
    }

    /// The first row.
    public var first: PostgresRow? { self.count > 0 ? self[0] : nil }
}

/// One row.
public struct PostgresRow: Sendable {
    let handle: ResultHandle
    let row: Int32

    /// Reads a column by position.
    /// - Parameters:
    ///   - type: What to read it as.
    ///   - column: From 0.
    /// - Returns: The value.
    /// - Throws: ``PostgresError`` with code `decoding`.
    public func decode<T: PostgresDecodable>(
        _ type: T.Type = T.self,
        at column: Int
    ) throws(PostgresError) -> T {
        let pointer = self.handle.pointer
        guard column >= 0, column < Int(PQnfields(pointer)) else {
            throw PostgresError(.decoding, "there is no column \(column)")
        }
        return try T(postgresValue: PostgresValue(handle: self.handle, row: self.row, column: Int32(column)))
    }

    /// Reads a column by name.
    /// - Parameters:
    ///   - type: What to read it as.
    ///   - named: The column's name, as the server gives it.
    /// - Returns: The value.
    /// - Throws: ``PostgresError`` with code `decoding`, naming the column.
    public func decode<T: PostgresDecodable>(
        _ type: T.Type = T.self,
        named: String
    ) throws(PostgresError) -> T {
        // PQfnumber would fold its case like SQL does, unless it is quoted first.
        let pointer = self.handle.pointer
        let index = named.withCString { name in
            (0..<PQnfields(pointer)).first { strcmp(PQfname(pointer, $0), name) == 0 }
        }
        guard let index else { throw PostgresError(.decoding, "there is no column \"\(named)\"") }
        return try self.decode(type, at: Int(index))
    }
}
