// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOConcurrencyHelpers
import TestBasics

/// A throw-away server of a test's own.
struct PrivateServer: Sendable {
    let directory: String
    let port: Int
    var data: String { self.directory + "/data" }
    private let process: NIOLockedValueBox<Child?> = NIOLockedValueBox(nil)

    func uri(user: String = "app", password: String? = nil, database: String = "postgres", query: String = "") -> String
    {
        let secret = password.map { ":\($0)" } ?? ""
        return "postgresql://\(user)\(secret)@127.0.0.1:\(self.port)/\(database)\(query)"
    }

    static func with<R>(
        settings: String = "",
        hba: String = "host all all 127.0.0.1/32 trust",
        prepare: (PrivateServer) async throws -> Void = { _ in },
        _ body: (PrivateServer) async throws -> R
    ) async throws -> R {
        let directory = FileManager.default.temporaryDirectory.path + "/" + uniqueName("pgtest")
        let server = PrivateServer(directory: directory, port: try Ports.free())
        try await Shell.run("install -d -m 700 \(getuid() == 0 ? "-o postgres " : "")'\(directory)'")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try await server.asServer(
            "'\(try PostgresPrograms.folder)/initdb' -D '\(server.data)' -U app --auth=trust -E UTF8 --locale=C --no-sync"
        )
        try (hba + "\n").write(toFile: server.data + "/pg_hba.conf", atomically: false, encoding: .utf8)
        try await prepare(server)
        // Without a socket file, whose path would be limited to about 100 bytes.
        let lines = "listen_addresses='127.0.0.1'\nunix_socket_directories=''\nfsync=off\n\(settings)\n"
        try lines.write(toFile: directory + "/extra.conf", atomically: false, encoding: .utf8)
        try await Shell.run("cat '\(directory)/extra.conf' >>'\(server.data)/postgresql.conf'")
        do {
            try await server.start()
            let result = try await body(server)
            await server.stop()
            return result
        } catch {
            await server.stop()
            throw error
        }
    }

    func start() async throws {
        let programs = try PostgresPrograms.folder
        let log = self.directory + "/log"
        let child = try Self.startAsServer(
            ["\(programs)/postgres", "-D", self.data, "-p", "\(self.port)"],
            log: log
        )
        self.process.withLockedValue { $0 = child }
        try await eventually("the server answers") {
            if let end = child.end {
                let said = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
                throw Shell.CommandFailed(description: "postgres: \(end): \(said)")
            }
            return (try? await Shell.run("'\(programs)/pg_isready' -q -h 127.0.0.1 -p \(self.port)")) != nil
        }
    }

    /// Ends it at once, as a crash would, but without leaving shared memory behind.
    func stop() async {
        guard let child = self.process.withLockedValue(\.self) else { return }
        child.send(SIGQUIT)
        _ = await child.ended(within: .seconds(120))
    }

    /// Lets it read its settings and certificates again.
    func reload() { self.process.withLockedValue(\.self)?.send(SIGHUP) }

    /// Starts a server as a user that is not root: PostgreSQL's own refuse to run as root.
    static func startAsServer(_ command: [String], log: String) throws -> Child {
        try Child(
            "/usr/bin/setpriv",
            // The kernel forgets whom it dies with when the user changes.
            (getuid() == 0 ? Self.serverUser : []) + ["--pdeathsig", "KILL", "--"] + command,
            environment: ["PATH": "/usr/bin:/bin", "LC_ALL": "C"],
            output: log,
            errors: log
        )
    }

    private static let serverUser = ["--reuid=postgres", "--regid=postgres", "--clear-groups"]

    func asServer(_ command: String) async throws {
        let user = getuid() == 0 ? "setpriv \(Self.serverUser.joined(separator: " ")) -- " : ""
        try await Shell.run("cd '\(self.directory)' && \(user)\(command)")
    }
}
