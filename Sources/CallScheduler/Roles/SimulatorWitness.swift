// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

#if DEBUG
    import CallStore
    import Foundation
    import Logging
    import Postgres
    import ProviderSimulator

    /// Lets the simulator look, over a connection of its own, whether a call's row is committed when the request arrives.
    struct SimulatorWitness {
        /// Names the database; in the environment, because it may hold a password.
        private static let variable = "CALL_SCHEDULER_WITNESS_DATABASE"
        /// A database that is away or frozen shall hold up nobody's answer.
        private static let patience = Duration.seconds(1)

        private let store: CallStore

        /// - Returns: Nil when no database is named.
        init?(_ environment: [String: String], logger: Logger) throws {
            guard let uri = environment[Self.variable], !uri.isEmpty else { return nil }
            var configuration = try PostgresConfiguration(uri: uri)
            configuration.applicationName = "call-scheduler/witness"
            configuration.maximumConnections = 4
            let client = PostgresClient(configuration: configuration, logger: logger)
            self.store = CallStore(client: client, logger: logger)
        }

        func see(_ callID: String) async -> LedgerCall.Row? {
            guard let callID = UUID(uuidString: callID) else { return nil }
            return await withTaskGroup(of: LedgerCall.Row?.self) { group in
                group.addTask { [store] in
                    guard let seen = try? await store.seeAttempt(callID: callID) else { return nil }
                    return LedgerCall.Row(number: seen.number, seenAt: seen.seenAt)
                }
                group.addTask {
                    // The provider answers all the same when the database does not.
                    try? await Task.sleep(for: Self.patience)
                    return nil
                }
                defer { group.cancelAll() }
                return await group.next() ?? nil
            }
        }
    }
#endif
