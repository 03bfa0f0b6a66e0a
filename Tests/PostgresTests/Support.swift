// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Postgres
import TestBasics
import Testing

struct MissingServer: Error, CustomStringConvertible {
    var description: String { "TEST_DATABASE_URL is not set: start a stack with `ops/stack up`" }
}

func testURI() throws -> String {
    guard let uri = ProcessInfo.processInfo.environment["TEST_DATABASE_URL"], !uri.isEmpty else {
        throw MissingServer()
    }
    return uri
}

/// A client of the test server, closed at the end of the scope.
func withClient<R>(
    _ configure: (inout PostgresConfiguration) -> Void = { _ in },
    uri: String? = nil,
    _ body: (PostgresClient) async throws -> R
) async throws -> R {
    var configuration = try PostgresConfiguration(uri: uri ?? testURI())
    // A machine that is slow is no reason to give up; tests of giving up say when.
    configuration.acquireTimeout = .seconds(600)
    configure(&configuration)
    let client = PostgresClient(configuration: configuration, logger: Logger(label: "test"))
    do {
        let result = try await body(client)
        await client.close()
        return result
    } catch {
        await client.close()
        throw error
    }
}

/// The error that the body throws; records an issue when it throws none.
func postgresError(_ body: () async throws -> Void) async -> PostgresError? {
    do {
        try await body()
        Issue.record("nothing was thrown")
        return nil
    } catch let error as PostgresError {
        return error
    } catch {
        Issue.record("unexpected \(error)")
        return nil
    }
}

extension PostgresClient {
    /// Why no connection can be made. When the time for one is over before the first attempt has failed, it is asked again.
    func connectionFault() async throws -> PostgresError? {
        var fault: PostgresError?
        try await eventually("an attempt to connect has failed") {
            fault = await postgresError { try await self.execute("select 1") }
            return fault?.code != .timeout
        }
        return fault
    }
}

func uniqueName(_ prefix: String) -> String {
    prefix + "_" + UUID().uuidString.lowercased().split(separator: "-").joined()
}
