// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
public import Logging

/// How log lines look.
public enum LogFormat: String, Sendable, CaseIterable {
    /// For people.
    case text
    /// One JSON object a line, for machines.
    case json
}

/// Sets up logging for the process, to standard error.
public enum LogBootstrap {
    /// Sets up logging; call once, before the first logger is made.
    /// - Parameters:
    ///   - level: The lowest level to print.
    ///   - format: How lines look.
    public static func bootstrap(level: Logger.Level, format: LogFormat) {
        LoggingSystem.bootstrap { label in
            switch format {
            case .text:
                var handler = StreamLogHandler.standardError(label: label)
                handler.logLevel = level
                return handler
            case .json:
                return JSONLogHandler(label: label, logLevel: level)
            }
        }
    }
}
