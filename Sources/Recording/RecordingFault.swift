// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Postgres
import ServiceLifecycle

/// Whose fault it is that reports could not be recorded.
enum RecordingFault: Equatable {
    /// The server's, or that of the way to it: nothing can be recorded now, and trying less would tell no more.
    case ofEverything
    /// Some rows' or the server's: trying less tells which reports it concerns. What fails alone waits.
    case ofSomeRows
    /// Perhaps a report's own values: what fails alone is put aside, for this reason, which quotes no value.
    case ofTheReport(String)

    init(_ error: any Error) {
        guard let error = error as? PostgresError else {
            self = .ofEverything
            return
        }
        if error.code == .encoding {
            self = .ofTheReport("a value of it cannot be expressed in the database")
            return
        }
        guard error.code == .server, let state = error.sqlState else {
            self = .ofEverything
            return
        }
        // https://www.postgresql.org/docs/15/errcodes-appendix.html: data exceptions and violated constraints.
        if ["22", "23"].contains(state.prefix(2)), state != Self.invalidParameter {
            let constraint = error.constraintName.map { ", constraint \($0)" } ?? ""
            self = .ofTheReport("the database refuses its values: SQLSTATE \(state)\(constraint)")
        } else if state == Self.lockNotAvailable {
            self = .ofSomeRows
        } else {
            // Connection, transaction, authorisation, conflict, rights and schema, resources, system.
            let isOfServer = error.isRetryable || ["08", "25", "28", "40", "42", "53", "58"].contains(state.prefix(2))
            self = isOfServer ? .ofEverything : .ofSomeRows
        }
    }

    /// A contact's time zone that the server's host no longer knows, not a value of a report.
    private static let invalidParameter = "22023"
    private static let lockNotAvailable = "55P03"
}

/// A pause that doubles.
struct BackOff {
    private var pause: Duration
    private let limit: Duration

    init(from pause: Duration = .milliseconds(100), upTo limit: Duration) {
        self.pause = pause
        self.limit = limit
    }

    /// Waits, less long when the process drains.
    mutating func wait() async {
        // A server that is well again does not tell; it is tried.
        try? await cancelWhenGracefulShutdown { [pause] in try await Task.sleep(for: pause) }
        self.pause = min(self.pause * 2, self.limit)
    }
}
