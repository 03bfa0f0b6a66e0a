// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation
public import TestBasics

/// The built executable, run as its users run it.
public struct Product {
    /// What a command that has ended said.
    public struct Ended: Sendable {
        /// Its exit code.
        public let exitCode: Int32
        /// Its standard output.
        public let output: String
        /// Its standard error.
        public let errors: String
    }

    /// The executable lies beside the test bundle.
    private static var executable: URL {
        get throws {
            var folder = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            while folder.path != "/" {
                folder.deleteLastPathComponent()
                let candidate = folder.appendingPathComponent("call-scheduler")
                if FileManager.default.isExecutableFile(atPath: candidate.path) { return candidate }
                if folder.lastPathComponent == ".build" { break }
            }
            let built = Shell.root.appendingPathComponent(".build/debug/call-scheduler")
            guard FileManager.default.isExecutableFile(atPath: built.path) else { throw NotBuilt() }
            return built
        }
    }

    /// The folder of the executable.
    public static var folder: URL {
        get throws { try Self.executable.deletingLastPathComponent() }
    }

    private struct NotBuilt: Error, CustomStringConvertible {
        let description = "the executable is not built: run `swift build --build-tests`"
    }

    static func start(
        _ arguments: [String],
        _ environment: [String: String],
        program: String?,
        output: String,
        errors: String
    ) throws -> Child {
        try Child(
            try program ?? Self.executable.path,
            arguments,
            environment: ["PATH": "/usr/bin:/bin", "HOME": "/tmp"].merging(environment) { _, new in new },
            output: output,
            errors: errors
        )
    }

    /// Runs a command to its end.
    /// - Parameters:
    ///   - arguments: The subcommand and its arguments.
    ///   - environment: Its settings.
    ///   - program: Another executable than the one under test.
    /// - Returns: What it said.
    /// - Throws: When it cannot be started.
    public static func run(
        _ arguments: [String],
        _ environment: [String: String] = [:],
        program: String? = nil
    ) async throws -> Ended {
        let folder = FileManager.default.temporaryDirectory
        let output = folder.appendingPathComponent(UUID().uuidString)
        let errors = folder.appendingPathComponent(UUID().uuidString)
        defer { for file in [output, errors] { try? FileManager.default.removeItem(at: file) } }
        let child = try Self.start(
            arguments,
            environment,
            program: program,
            output: output.path,
            errors: errors.path
        )
        let end = await child.ended(within: Shell.limit)
        guard case .exit(let code) = end else { throw EndedBySignal(arguments: arguments, end: end) }
        return Ended(
            exitCode: code,
            output: try String(contentsOf: output, encoding: .utf8),
            errors: try String(contentsOf: errors, encoding: .utf8)
        )
    }

    private struct EndedBySignal: Error {
        let arguments: [String]
        let end: Child.End
    }
}

/// A role that runs until it is told to stop.
public final class RunningRole: Sendable {
    /// The arguments that it runs with.
    public let name: String
    /// Where it logs.
    public let logFile: URL
    private let child: Child
    private let ownsLogFile: Bool

    /// Starts a role.
    /// - Parameters:
    ///   - arguments: The subcommand and its arguments.
    ///   - environment: Its settings.
    ///   - logFile: A file to append its log to; nil for one of its own, which goes with this object.
    ///   - program: Another executable than the one under test.
    /// - Throws: When it cannot be started.
    public init(
        _ arguments: [String],
        _ environment: [String: String],
        logFile: URL? = nil,
        program: String? = nil
    ) throws {
        self.name = arguments.joined(separator: " ")
        self.logFile = logFile ?? FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        self.ownsLogFile = logFile == nil
        self.child = try Product.start(
            arguments,
            environment,
            program: program,
            output: self.logFile.path,
            errors: self.logFile.path
        )
    }

    deinit {
        if self.ownsLogFile { try? FileManager.default.removeItem(at: self.logFile) }
    }

    /// Its process id.
    public var identifier: pid_t { self.child.identifier }

    /// Whether it still runs.
    public var isRunning: Bool { self.end == nil }

    /// How it ended; nil while it runs.
    public var end: Child.End? { self.child.end }

    /// What it has logged.
    public var log: String { (try? String(contentsOf: self.logFile, encoding: .utf8)) ?? "" }

    /// Sends it a signal, if it runs.
    public func send(_ signal: Int32) { self.child.send(signal) }

    /// Stops it, by force if it hangs, and waits for its end.
    public func stop() async {
        self.send(SIGCONT)
        self.send(SIGTERM)
        _ = await self.child.ended(within: .seconds(120))
    }
}
