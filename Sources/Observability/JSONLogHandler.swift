// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
public import Logging

/// Writes each log line as one JSON object to standard error.
public struct JSONLogHandler: LogHandler {
    /// Metadata on every line of this logger.
    public var metadata: Logger.Metadata = [:]
    /// The lowest level that is written.
    public var logLevel: Logger.Level
    private let label: String

    /// Creates a handler.
    public init(label: String, logLevel: Logger.Level) {
        self.label = label
        self.logLevel = logLevel
    }

    /// One key of the logger's metadata.
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    /// Writes one line.
    public func log(event: LogEvent) {
        var line: [String: String] = [
            "time": Date().formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)),
            "level": event.level.rawValue,
            "logger": self.label,
            "message": "\(event.message)",
        ]
        if let error = event.error { line["error"] = "\(error)" }
        for (key, value) in self.metadata { line[key] = "\(value)" }
        for (key, value) in event.metadata ?? [:] { line[key] = "\(value)" }
        guard
            var data = try? JSONSerialization.data(
                withJSONObject: line,
                options: [.sortedKeys, .withoutEscapingSlashes]
            )
        else { return }
        data.append(0x0A)
        // One write per line, so that the lines of several threads do not mix.
        FileHandle.standardError.write(data)
    }
}
