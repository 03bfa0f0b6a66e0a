// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The private servers that the tests talk to. Their absence fails a test: a skipped suite would be a green lie.
public enum TestServers {
    /// The servers are not there.
    public struct Missing: Error, CustomStringConvertible {
        let variable: String

        /// What to do.
        public var description: String {
            "\(self.variable) is not set: start a stack with `ops/stack up` and load its URLs with"
                + " `eval \"$(ops/stack env)\"`, or run `ops/test`"
        }
    }

    static func url(_ variable: String) throws -> String {
        guard let url = ProcessInfo.processInfo.environment[variable], !url.isEmpty else {
            throw Missing(variable: variable)
        }
        return url
    }

    /// A superuser's URI of the PostgreSQL server.
    public static var database: String {
        get throws { try Self.url("TEST_DATABASE_URL") }
    }

    /// The broker's URI, default virtual host.
    public static var broker: String {
        get throws { try Self.url("TEST_AMQP_URL") }
    }

    /// The broker's management API, with credentials.
    public static var management: String {
        get throws { try Self.url("TEST_AMQP_MANAGEMENT_URL") }
    }
}
