// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// Commands that a test runs to their end, on no thread that tasks share.
public enum Shell {
    /// A command that failed, and what it printed.
    public struct CommandFailed: Error, CustomStringConvertible {
        /// The command and its output.
        public let description: String

        /// - Parameter description: What failed, and what it said.
        public init(description: String) { self.description = description }
    }

    /// The root of the project.
    public static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Only what hangs takes longer than this.
    public static let limit = Duration.seconds(900)

    /// Runs a command line with `/bin/bash`, also one that leaves servers behind.
    /// - Parameter command: The command line.
    /// - Throws: ``CommandFailed`` when it cannot be started or ends with another exit code than 0.
    public static func run(_ command: String) async throws { _ = try await Self.output(command) }

    /// Runs a command line with `/bin/bash`.
    /// - Parameters:
    ///   - command: The command line.
    ///   - limit: When it is ended by force, with all that it has started in its process group.
    /// - Returns: Its standard output.
    /// - Throws: ``CommandFailed``.
    public static func output(_ command: String, within limit: Duration = Self.limit) async throws -> String {
        let files = FileManager.default.temporaryDirectory.path + "/command-" + UUID().uuidString
        let (output, errors) = (files + ".out", files + ".err")
        defer { for file in [output, errors] { try? FileManager.default.removeItem(atPath: file) } }
        let child = try Child(
            "/bin/bash",
            ["-c", command],
            environment: ProcessInfo.processInfo.environment,
            output: output,
            errors: errors
        )
        let end = await child.ended(within: limit)
        let said = try String(contentsOfFile: output, encoding: .utf8)
        guard end == .exit(0) else {
            let complaint = (try? String(contentsOfFile: errors, encoding: .utf8)) ?? ""
            throw CommandFailed(description: "\(command): \(end): \(complaint)\(said)")
        }
        return said
    }

    /// Runs `ops/stack`. A stack that is started ends with this process, if it was not taken down before.
    /// - Parameter arguments: Its arguments.
    /// - Throws: ``CommandFailed``.
    public static func stack(_ arguments: String) async throws {
        let owner = arguments.hasPrefix("up ") ? " --owner \(ProcessInfo.processInfo.processIdentifier)" : ""
        try await Self.run("'\(Self.root.path)/ops/stack' \(arguments)\(owner)")
    }
}

/// The run of the tests that this process is, or is a part of.
public enum TestRun {
    /// What the names of its stacks and folders begin with; `ops/test` gives it, and cleans up by it.
    public static let name =
        ProcessInfo.processInfo.environment["TEST_RUN"] ?? "run-\(ProcessInfo.processInfo.processIdentifier)"
}
