// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CLibPQ

/// What a prepared statement was prepared from.
struct PreparedSignature: Equatable {
    let sql: String
    let types: [UInt32]
}

/// A statement with its parameters in wire form.
struct BoundStatement: Sendable {
    let statement: PostgresStatement
    var types: [UInt32] = []
    var values: [[UInt8]?] = []
    /// The server's bound for one value, `MaxAllocSize`.
    private static let largestValue = 1 << 30

    init(_ statement: PostgresStatement, _ parameters: [any PostgresEncodable]) throws(PostgresError) {
        guard parameters.count <= 65_535 else {
            throw PostgresError(.encoding, "a statement has at most 65535 parameters")
        }
        self.statement = statement
        for parameter in parameters {
            self.types.append(type(of: parameter).postgresType.rawValue)
            guard !parameter.isPostgresNull else {
                self.values.append(nil)
                continue
            }
            var bytes: [UInt8] = []
            try parameter.encode(into: &bytes)
            guard bytes.count < Self.largestValue else {
                throw PostgresError(.encoding, "a parameter has a gigabyte or more")
            }
            self.values.append(bytes)
        }
    }
}

extension Session {
    /// Runs statements in one pipeline with one sync, i.e. one implicit transaction.
    func run(_ items: [BoundStatement]) throws(PostgresError) -> [PostgresResult] {
        guard self.checkAlive() else { throw self.lost(neverSent: true) }
        if self.hasStalePlans, PQtransactionStatus(self.pointer) != PQTRANS_INERROR { try self.forgetPlans() }
        do throws(PostgresError) {
            return try self.runOnce(items)
        } catch {
            guard error.isStalePlan, !self.isBroken else { throw error }
            self.hasStalePlans = true
            // A transaction has failed with it: whoever began it does it again, with new plans.
            guard PQtransactionStatus(self.pointer) == PQTRANS_IDLE else { throw error }
            try self.forgetPlans()
            return try self.runOnce(items)
        }
    }

    /// All, since what made one stale, such as a migration or a pooler, has seldom met it alone.
    private func forgetPlans() throws(PostgresError) {
        _ = try self.runOnce([try BoundStatement(PostgresStatement("deallocate all", prepared: false), [])])
        self.prepared = [:]
        self.hasStalePlans = false
    }

    func runOnce(_ items: [BoundStatement]) throws(PostgresError) -> [PostgresResult] {
        guard PQpipelineStatus(self.pointer) != PQ_PIPELINE_OFF || PQenterPipelineMode(self.pointer) == 1 else {
            throw self.lost()
        }
        var steps: [(isResult: Bool, preparing: String?)] = []
        var preparing: [String: PreparedSignature] = [:]
        for item in items {
            var name: String?
            if item.statement.prepared {
                let signature = PreparedSignature(sql: item.statement.sql, types: item.types)
                let chosen = self.name(for: item, signature, preparing)
                name = chosen
                if self.prepared[chosen] == nil, preparing[chosen] == nil {
                    guard PQsendPrepare(self.pointer, chosen, signature.sql, Int32(item.types.count), item.types) == 1
                    else { throw self.lost() }
                    preparing[chosen] = signature
                    steps.append((false, chosen))
                }
            }
            guard self.send(item, preparedAs: name) else { throw self.lost() }
            steps.append((true, nil))
        }
        guard PQpipelineSync(self.pointer) == 1 else { throw self.lost() }
        try self.flush()
        return try self.collect(steps, preparing)
    }

    private func name(
        for item: BoundStatement,
        _ signature: PreparedSignature,
        _ preparing: [String: PreparedSignature]
    ) -> String {
        let name = item.statement.name
        guard let known = self.prepared[name] ?? preparing[name], known != signature else { return name }
        return name + "_" + PostgresStatement.fingerprint("\(signature.types)" + signature.sql)
    }

    private func send(_ item: BoundStatement, preparedAs name: String?) -> Bool {
        let count = Int32(item.values.count)
        let lengths = item.values.map { Int32($0?.count ?? 0) }
        let formats = [Int32](repeating: 1, count: item.values.count)
        return withParameterPointers(item.values) { pointers in
            if let name {
                return PQsendQueryPrepared(self.pointer, name, count, pointers, lengths, formats, 1) == 1
            }
            let sql = item.statement.sql
            return PQsendQueryParams(self.pointer, sql, count, item.types, pointers, lengths, formats, 1) == 1
        }
    }

    /// Reads up to the sync, whatever comes; the first error is the one that tells.
    private func collect(
        _ steps: [(isResult: Bool, preparing: String?)],
        _ preparing: [String: PreparedSignature]
    ) throws(PostgresError) -> [PostgresResult] {
        var results: [PostgresResult] = []
        var failure: PostgresError?
        var step = 0
        while true {
            guard let result = try self.nextResult() else {
                step += 1
                guard step <= steps.count else { throw self.lost("libpq gave no end of the pipeline") }
                continue
            }
            switch result.status {
            case PGRES_PIPELINE_SYNC:
                if let failure { throw self.wasCancelled ? self.cancellation(failure) : failure }
                return results
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
                guard step < steps.count else { throw self.lost("libpq gave a result too many") }
                if let name = steps[step].preparing { self.prepared[name] = preparing[name] }
                if steps[step].isResult { results.append(PostgresResult(handle: result)) }
            case PGRES_PIPELINE_ABORTED:
                break
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                // COPY cannot be ended in pipeline mode.
                self.abandon()
                throw PostgresError(.unsupported, "COPY needs copyIn or copyOut")
            default:
                failure = failure ?? result.error
                if PQstatus(self.pointer) != CONNECTION_OK { throw self.lost(result.error.message) }
            }
        }
    }

    func cancellation(_ failure: PostgresError) -> PostgresError {
        failure.sqlState == "57014" ? PostgresError(.cancelled, "the statement was cancelled") : failure
    }
}

/// Lays parameters out in one buffer, so that their addresses hold for one call.
private func withParameterPointers<R>(
    _ values: [[UInt8]?],
    _ body: ([UnsafePointer<CChar>?]) -> R
) -> R {
    // One byte more than needed: an empty value still needs an address, since a null pointer is SQL null.
    let size = values.reduce(1) { $0 + ($1?.count ?? 0) }
    return withUnsafeTemporaryAllocation(byteCount: size, alignment: 1) { buffer in
        var offset = 0
        let pointers = values.map { value -> UnsafePointer<CChar>? in
            guard let value, let base = buffer.baseAddress else { return nil }
            let start = base + offset
            value.withUnsafeBytes {
                start.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(start), byteCount: $0.count)
            }
            offset += value.count
            return UnsafePointer(start.assumingMemoryBound(to: CChar.self))
        }
        return body(pointers)
    }
}
