// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

#if DEBUG
    public import Foundation
    import Postgres

    extension CallStore {
        /// What another connection than the dialer's sees of a call: for tests that must know what was committed when.
        /// - Parameter callID: The call.
        /// - Returns: The number in the call's committed row, nil when there is none, and the database's time.
        /// - Throws: `PostgresError`.
        public func seeAttempt(callID: UUID) async throws -> (number: String?, seenAt: Date) {
            let result = try await self.client.execute(Self.seeAttempt, [callID])
            guard let row = result.first else {
                throw StoreError(code: .schemaMismatch, message: "the database has no clock")
            }
            return (try row.decode(named: "phone_number"), try row.decode(named: "seen_at"))
        }

        private static let seeAttempt = PostgresStatement(
            name: "see_attempt",
            "select clock_timestamp() as seen_at, (select phone_number from call_attempts where call_id = $1) as phone_number"
        )
    }
#endif
