// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOConcurrencyHelpers
import TestBasics
import TestSupport

/// The built executable, run as its users run it.
struct Product {
    /// What a command that has ended said.
    struct Ended {
        let exitCode: Int32
        let output: String
        let errors: String
    }

    /// The executable lies beside the test bundle.
    static var executable: URL {
        get throws {
            var folder = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            while folder.path != "/" {
                folder.deleteLastPathComponent()
                let candidate = folder.appendingPathComponent("call-scheduler")
                if FileManager.default.isExecutableFile(atPath: candidate.path) { return candidate }
                if folder.lastPathComponent == ".build" { break }
            }
            let built = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
                .appendingPathComponent(".build/debug/call-scheduler")
            guard FileManager.default.isExecutableFile(atPath: built.path) else { throw NotBuilt() }
            return built
        }
    }

    private struct NotBuilt: Error, CustomStringConvertible {
        let description = "the executable is not built: run `swift build --build-tests`"
    }

    static func process(_ arguments: [String], _ environment: [String: String]) throws -> Process {
        let process = Process()
        process.executableURL = try Self.executable
        process.arguments = arguments
        process.environment = ["PATH": "/usr/bin:/bin", "HOME": "/tmp"].merging(environment) { _, new in new }
        return process
    }

    /// Runs a command to its end.
    static func run(_ arguments: [String], _ environment: [String: String] = [:]) async throws -> Ended {
        let process = try Self.process(arguments, environment)
        let folder = FileManager.default.temporaryDirectory
        let outputFile = folder.appendingPathComponent(UUID().uuidString)
        let errorFile = folder.appendingPathComponent(UUID().uuidString)
        defer {
            try? FileManager.default.removeItem(at: outputFile)
            try? FileManager.default.removeItem(at: errorFile)
        }
        _ = FileManager.default.createFile(atPath: outputFile.path, contents: nil)
        _ = FileManager.default.createFile(atPath: errorFile.path, contents: nil)
        process.standardOutput = try FileHandle(forWritingTo: outputFile)
        process.standardError = try FileHandle(forWritingTo: errorFile)
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
final class RunningRole: Sendable {
    let name: String
    let logFile: URL
    private let process: NIOLockedValueBox<Process>
    let identifier: Int32

    init(_ arguments: [String], _ environment: [String: String]) throws {
        let process = try Product.process(arguments, environment)
        self.name = arguments.joined(separator: " ")
        self.logFile = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString + ".log")
        _ = FileManager.default.createFile(atPath: self.logFile.path, contents: nil)
        let log = try FileHandle(forWritingTo: self.logFile)
        process.standardOutput = log
        process.standardError = log
        process.standardInput = FileHandle.nullDevice
        try process.run()
        self.identifier = process.processIdentifier
        self.process = NIOLockedValueBox(process)
    }

    var isRunning: Bool { self.process.withLockedValue { $0.isRunning } }

    var log: String { (try? String(contentsOf: self.logFile, encoding: .utf8)) ?? "" }

    func send(_ signal: Int32) {
        if self.isRunning { kill(self.identifier, signal) }
    }

    /// Stops it, by force if it must be.
    func stop() async {
        self.send(SIGTERM)
        do {
            try await eventually("\(self.name) ends", within: .seconds(10)) { !self.isRunning }
        } catch {
            self.send(SIGKILL)
        }
        try? FileManager.default.removeItem(at: self.logFile)
    }
}
