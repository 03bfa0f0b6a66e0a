// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CLibPQ

extension Session {
    /// COPY data is handed on in pieces of about this many bytes.
    static let copyChunk = 65_536

    /// Runs a script by the simple protocol.
    func runScript(_ sql: String) throws(PostgresError) {
        try self.sendSimple(sql)
        try self.drain()
    }

    /// Starts a COPY; the connection is in copy mode when this returns.
    func beginCopy(_ sql: String, _ wanted: ExecStatusType) throws(PostgresError) {
        try self.sendSimple(sql)
        guard let result = try self.nextResult() else { throw self.lost() }
        guard result.status == wanted else {
            if [PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH].contains(result.status) {
                self.abandon()
                throw PostgresError(.unsupported, "the COPY goes the other way")
            }
            let failure =
                result.status == PGRES_FATAL_ERROR
                ? result.error : PostgresError(.unsupported, "the statement is not a COPY")
            _ = try? self.drain()
            throw self.wasCancelled ? self.cancellation(failure) : failure
        }
        self.isCopying = true
    }

    func putCopy(_ bytes: [UInt8]) throws(PostgresError) {
        var start = 0
        while start < bytes.count {
            let end = min(start + Self.copyChunk, bytes.count)
            let sent = bytes[start..<end].withUnsafeBytes { buffer in
                PQputCopyData(
                    self.pointer,
                    buffer.baseAddress?.assumingMemoryBound(to: CChar.self),
                    Int32(buffer.count)
                )
            }
            switch sent {
            case 1: start = end
            case 0: try self.wait(POLLOUT)
            default:
                // The server ended the copy by an error, which is waiting to be read.
                self.isCopying = false
                try self.drain()
                throw self.lost("the server ended the COPY")
            }
            try self.flush()
        }
    }

    /// Ends COPY FROM; a reason makes the server give it up.
    func endCopyIn(failure: String?) throws(PostgresError) -> Int {
        guard self.isCopying else { return 0 }
        self.isCopying = false
        var sent = PQputCopyEnd(self.pointer, failure)
        while sent == 0 {
            try self.wait(POLLOUT)
            sent = PQputCopyEnd(self.pointer, failure)
        }
        guard sent == 1 else {
            try self.drain()
            throw self.lost()
        }
        try self.flush()
        return try self.drain()
    }

    /// The next piece of COPY TO; nil at the end.
    func getCopy() throws(PostgresError) -> [UInt8]? {
        // The library tells the end once only; asked again it answers with an error.
        guard self.isCopying else { return nil }
        var chunk: [UInt8] = []
        while chunk.count < Self.copyChunk {
            var row: UnsafeMutablePointer<CChar>?
            let count = PQgetCopyData(self.pointer, &row, 1)
            switch count {
            case 1...:
                chunk.append(contentsOf: UnsafeRawBufferPointer(start: row, count: Int(count)))
                PQfreemem(row)
            case 0 where !chunk.isEmpty: return chunk
            case 0:
                try self.wait(POLLIN)
                guard PQconsumeInput(self.pointer) == 1 else { throw self.lost() }
            case -1:
                self.isCopying = false
                try self.drain()
                return chunk.isEmpty ? nil : chunk
            default: throw self.lost()
            }
        }
        return chunk
    }

    private func sendSimple(_ sql: String) throws(PostgresError) {
        guard self.checkAlive() else { throw self.lost(neverSent: true) }
        guard PQpipelineStatus(self.pointer) == PQ_PIPELINE_OFF || PQexitPipelineMode(self.pointer) == 1,
            PQsendQuery(self.pointer, sql) == 1
        else { throw self.lost() }
        try self.flush()
    }

    @discardableResult
    private func drain() throws(PostgresError) -> Int {
        var failure: PostgresError?
        var rows = 0
        while let result = try self.nextResult() {
            switch result.status {
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                self.abandon()
                throw PostgresError(.unsupported, "COPY needs copyIn or copyOut")
            case PGRES_FATAL_ERROR:
                failure = failure ?? result.error
                if PQstatus(self.pointer) != CONNECTION_OK { throw self.lost(result.error.message) }
            default: rows = PostgresResult(handle: result).affectedRows
            }
        }
        if let failure { throw self.wasCancelled ? self.cancellation(failure) : failure }
        return rows
    }
}
