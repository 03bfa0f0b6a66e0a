// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CallStore
import Foundation
import Logging
import Observability
import Postgres

/// The options that every command has.
struct CommonOptions: ParsableArguments {
    @Option(name: .customLong("set"), help: ArgumentHelp("Override a setting.", valueName: "NAME=VALUE"))
    var overrides: [String] = []

    @Option(
        help: ArgumentHelp("Read settings from a file of NAME=VALUE lines.", valueName: "file"),
        completion: .file()
    )
    var config: String?

    @Flag(help: "Show each setting and where it comes from, secrets masked, and do nothing else.")
    var showSettings = false

    /// - Throws: ``ExitCode/success`` after `--show-settings`; ``ConfigurationFault`` when they cannot be shown.
    func settings() throws -> Settings {
        let settings = Settings(
            overrides: self.overrides,
            file: self.config,
            environment: ProcessInfo.processInfo.environment
        )
        guard self.showSettings else { return settings }
        try settings.check()
        Console.table(["SETTING", "VALUE", "FROM"], settings.table)
        throw ExitCode.success
    }

    /// Runs an operator's command with the database; quiet but for warnings.
    func withStore<Result: Sendable>(_ body: (CallStore) async throws -> Result) async throws -> Result {
        var settings = try self.settings()
        let database = settings.database(applicationName: "call-scheduler/operator")
        try settings.check()
        guard var database else { throw ConfigurationFault(faults: settings.faults) }
        database.maximumConnections = 2
        database.acquireTimeout = .seconds(10)
        var logger = Logger(label: "call-scheduler")
        logger.logLevel = .error
        let client = PostgresClient(configuration: database, logger: logger)
        do {
            let result = try await body(CallStore(client: client, logger: logger))
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }
}

/// The options of commands whose answer a machine may want.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON for machines.")
    var json = false
}
