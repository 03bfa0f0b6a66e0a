// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation
import NIOConcurrencyHelpers
import TestBasics

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

    static func process(
        _ arguments: [String],
        _ environment: [String: String],
        program: String?
    ) throws -> Process {
        let process = Process()
        process.executableURL = try program.map { URL(fileURLWithPath: $0) } ?? Self.executable
        process.arguments = arguments
        process.environment = ["PATH": "/usr/bin:/bin", "HOME": "/tmp"].merging(environment) { _, new in new }
        return process
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
        let process = try Self.process(arguments, environment, program: program)
        let folder = FileManager.default.temporaryDirectory
        let outputFile = folder.appendingPathComponent(UUID().uuidString)
        let errorFile = folder.appendingPathComponent(UUID().uuidString)
        defer {
            try? FileManager.default.removeItem(at: outputFile)
            try? FileManager.default.removeItem(at: errorFile)
        }
        _ = FileManager.default.createFile(atPath: outputFile.path, contents: nil)
        _ = FileManager.default.createFile(atPath: errorFile.path, contents: nil)
        let outputHandle = try FileHandle(forWritingTo: outputFile)
        let errorHandle = try FileHandle(forWritingTo: errorFile)
        // Foundation does not close them when it lets go of the process.
        defer {
            try? outputHandle.close()
            try? errorHandle.close()
        }
        process.standardOutput = outputHandle
        process.standardError = errorHandle
        process.standardInput = FileHandle.nullDevice
        let exitCode = try await Self.ended(process)
        return Ended(
            exitCode: exitCode,
            output: try String(contentsOf: outputFile, encoding: .utf8),
            errors: try String(contentsOf: errorFile, encoding: .utf8)
        )
    }

    private static func ended(_ process: Process) async throws -> Int32 {
        try await withCheckedThrowingContinuation { continuation in
            process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
            do {
                try process.run()
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}

/// A role that runs until it is told to stop.
public final class RunningRole: Sendable {
    /// How a process ended.
    public enum End: Sendable, Equatable {
        /// By itself, with this code.
        case exit(Int32)
        /// By this signal.
        case signal(Int32)
    }

    /// The arguments that it runs with.
    public let name: String
    /// Where it logs.
    public let logFile: URL
    /// Its process id.
    public let identifier: Int32
    private let process: NIOLockedValueBox<Process>
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
        let process = try Product.process(arguments, environment, program: program)
        self.name = arguments.joined(separator: " ")
        self.logFile = logFile ?? FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        self.ownsLogFile = logFile == nil
        if !FileManager.default.fileExists(atPath: self.logFile.path) {
            _ = FileManager.default.createFile(atPath: self.logFile.path, contents: nil)
        }
        let log = try FileHandle(forWritingTo: self.logFile)
        defer { try? log.close() }
        try log.seekToEnd()
        process.standardOutput = log
        process.standardError = log
        process.standardInput = FileHandle.nullDevice
        try process.run()
        self.identifier = process.processIdentifier
        self.process = NIOLockedValueBox(process)
    }

    deinit {
        if self.ownsLogFile { try? FileManager.default.removeItem(at: self.logFile) }
    }

    /// Whether it still runs.
    public var isRunning: Bool { self.process.withLockedValue { $0.isRunning } }

    /// How it ended; nil while it runs.
    public var end: End? {
        self.process.withLockedValue { process in
            guard !process.isRunning else { return nil }
            return process.terminationReason == .exit
                ? .exit(process.terminationStatus) : .signal(process.terminationStatus)
        }
    }

    /// What it has logged.
    public var log: String { (try? String(contentsOf: self.logFile, encoding: .utf8)) ?? "" }

    /// Sends it a signal, if it runs.
    public func send(_ signal: Int32) {
        if self.isRunning { kill(self.identifier, signal) }
    }

    /// Stops it, by force if it must be, and waits for its end.
    public func stop() async {
        self.send(SIGCONT)
        self.send(SIGTERM)
        do {
            try await eventually("\(self.name) ends", within: .seconds(10)) { !self.isRunning }
        } catch {
            self.send(SIGKILL)
            try? await eventually("\(self.name) is gone") { !self.isRunning }
        }
    }
}
