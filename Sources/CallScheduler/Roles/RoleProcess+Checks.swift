// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallStore
import Logging
import Observability
import Postgres

extension RoleProcess {
    /// Waits for the database and makes sure that it has the schema that this program needs.
    static func checkSchema(_ store: CallStore, _ logger: Logger) async throws {
        do {
            try await Self.compareSchema(store, logger)
        } catch let error as PostgresError where error.sqlState == "42501" {
            // Rights come with `ops/make-users`, perhaps in a moment: who stays down then is missed.
            throw NotLetIn(
                message: "DATABASE_URL: \(error.message): its user has no rights yet, or none any more (ops/make-users)"
            )
        }
    }

    private static func compareSchema(_ store: CallStore, _ logger: Logger) async throws {
        switch try await store.schemaState() {
        case .current: return
        case .behind(_, let missing):
            throw StoreError(
                code: .schemaMismatch,
                message: "the database lacks \(missing.count) migration(s): run `call-scheduler migrate`"
            )
        case .ahead(let version):
            logger.warning(
                "The database's schema is newer than this program",
                metadata: ["version": "\(version)"]
            )
        case .edited(let difference):
            throw StoreError(code: .schemaMismatch, message: "an applied migration was edited: \(difference)")
        }
    }

    var databaseCheck: HealthCheck {
        let store = self.store
        return HealthCheck(name: "database") {
            do {
                try await store.ping()
                return nil
            } catch {
                return "\(error)"
            }
        }
    }

    static func check(_ name: String, _ connection: AMQPConnection) -> HealthCheck {
        HealthCheck(name: name) {
            switch connection.state {
            case .ready: connection.faults.first.map { "\($0)" }
            case .blocked(let reason): "\(CallStore.House.refusalWords): \(reason)"
            case .connecting: connection.lastError.map { "\($0)" } ?? "connecting"
            case .closed: "closed"
            }
        }
    }
}
