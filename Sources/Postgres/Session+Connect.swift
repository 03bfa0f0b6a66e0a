// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CLibPQ
import ThreadEngine

extension Session {
    /// Connects to the first place that will do, each within its bound.
    static func connect(
        _ configuration: PostgresConfiguration,
        _ rotation: HostRotation,
        inbox: Inbox<ConnectionWorker.Job>,
        interruption: @escaping () -> Interruption
    ) throws(PostgresError) -> Session {
        let endpoints = rotation.order(configuration.endpoints())
        let attempts = configuration.sessionAttributes.flatMap { attributes in endpoints.map { ($0, attributes) } }
        var failures: [PostgresError] = []
        for (endpoint, attributes) in attempts {
            do throws(PostgresError) {
                let session = try Session(
                    configuration: configuration,
                    endpoint: endpoint,
                    attributes: attributes,
                    timeout: configuration.connectTimeout(ofEach: attempts.count),
                    inbox: inbox,
                    interruption: interruption
                )
                rotation.connected(to: endpoint)
                return session
            } catch {
                guard error.code != .closed else { throw error }
                failures.append(error)
            }
        }
        // It is in vain only if it is so everywhere.
        let telling = failures.first { !$0.isPermanentConnectionFault } ?? failures.first
        throw PostgresError(
            .connectionFailed,
            failures.map(\.message).joined(separator: "; "),
            sqlState: telling?.sqlState
        )
    }

    func connect() throws(PostgresError) {
        guard PQstatus(self.pointer) != CONNECTION_BAD else { throw self.connectError() }
        // libpq has no SQLSTATE for a failed connection, but writes it into the text then, whatever the text's language.
        PQsetErrorVerbosity(self.pointer, PQERRORS_VERBOSE)
        defer { PQsetErrorVerbosity(self.pointer, PQERRORS_DEFAULT) }
        var state = PGRES_POLLING_WRITING
        while true {
            switch state {
            case PGRES_POLLING_OK: return
            case PGRES_POLLING_READING: try self.wait(POLLIN)
            case PGRES_POLLING_WRITING: try self.wait(POLLOUT)
            default: throw self.connectError()
            }
            state = PQconnectPoll(self.pointer)
        }
    }

    /// Settings in one round trip.
    func configure(_ settings: [(name: String, value: String)]) throws(PostgresError) {
        let calls = settings.indices.map { "set_config($\(2 * $0 + 1), $\(2 * $0 + 2), false)" }
        let statement = PostgresStatement("select " + calls.joined(separator: ", "), prepared: false)
        _ = try self.runOnce([try BoundStatement(statement, settings.flatMap { [$0.name, $0.value] })])
    }

    private func connectError() -> PostgresError {
        let lines = String(cString: PQerrorMessage(self.pointer)).split(whereSeparator: \.isNewline)
        let text = self.redactor.redact(lines.filter { !$0.hasPrefix("LOCATION:") }.joined(separator: "; "))
        if let match = text.firstMatch(of: #/:  ([0-9A-Z]{5}): /#) {
            let state = String(match.1)
            return PostgresError(.connectionFailed, text.replacing(match.0, with: ":  "), sqlState: state)
        }
        // Said by libpq itself, which asks no server.
        let isWithoutPassword = text.contains("no password supplied")
        return PostgresError(.connectionFailed, text, sqlState: isWithoutPassword ? "28P01" : nil)
    }
}
