// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres

extension CallStore {
    /// The document of changes in number plans that was installed last.
    /// - Returns: JSON; nil when none was.
    /// - Throws: `PostgresError`.
    public func numberChanges() async throws -> String? {
        try await self.client.execute(Self.selectNumberChanges).first?.decode(named: "document")
    }

    /// Installs a document of changes in number plans in the place of the one before.
    /// - Parameter document: JSON, checked.
    /// - Throws: `PostgresError`.
    public func installNumberChanges(_ document: String) async throws {
        try await self.client.execute(Self.insertNumberChanges, [document])
    }

    private static let selectNumberChanges = PostgresStatement(
        name: "select_number_changes",
        "select document from number_changes order by id desc limit 1"
    )

    private static let insertNumberChanges = PostgresStatement(
        name: "insert_number_changes",
        "insert into number_changes (document) values ($1)"
    )
}
