// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// Commands that a test runs to their end.
public enum Shell {
    /// A command that failed, and what it printed.
    public struct CommandFailed: Error, CustomStringConvertible {
        /// The command and its output.
        public let description: String
    }

    /// The root of the project.
    public static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Runs a command line with `/bin/bash`, also one that leaves servers behind.
    ///
    /// Foundation's `Process` would wait for those: they inherit the descriptor by which it notices the end.
    /// - Parameter command: The command line.
    /// - Throws: ``CommandFailed`` when it cannot be started or ends with another exit code than 0.
    public static func run(_ command: String) throws {
        let log = FileManager.default.temporaryDirectory.path + "/command-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: log) }
        // A server that stays must not keep what this process has open.
        let close = "for fd in /proc/self/fd/*; do ((${fd##*/} < 3)) || eval \"exec ${fd##*/}>&-\"; done"
        let words = ["/bin/bash", "-c", "\(close); (\(command)) >\(log) 2>&1 </dev/null"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { arguments.forEach { free($0) } }
        var child: pid_t = 0
        var status: Int32 = -1
        if posix_spawn(&child, "/bin/bash", nil, nil, arguments, environ) == 0 { waitpid(child, &status, 0) }
        guard status == 0 else {
            let output = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
            throw CommandFailed(description: "\(command): \(output)")
        }
    }

    /// Runs a command line with `/bin/bash` without blocking a thread that tasks share.
    /// - Parameter command: The command line.
    /// - Returns: Its standard output.
    /// - Throws: ``CommandFailed``.
    public static func output(_ command: String) async throws -> String {
        let file = FileManager.default.temporaryDirectory.path + "/output-" + UUID().uuidString
        defer { try? FileManager.default.removeItem(atPath: file) }
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            Thread.detachNewThread {
                continuation.resume(with: Result { try Self.run("{ \(command); } >'\(file)'") })
            }
        }
        return try String(contentsOfFile: file, encoding: .utf8)
    }

    /// Runs `ops/stack` without blocking a thread that tasks share.
    /// - Parameter arguments: Its arguments.
    /// - Throws: ``CommandFailed``.
    public static func stack(_ arguments: String) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            Thread.detachNewThread {
                continuation.resume(with: Result { try Self.run("'\(Self.root.path)/ops/stack' \(arguments)") })
            }
        }
    }
}
