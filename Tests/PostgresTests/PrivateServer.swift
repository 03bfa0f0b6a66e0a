// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics

/// A throw-away server of a test's own.
struct PrivateServer: Sendable {
    private static let binaries = "/usr/lib/postgresql/15/bin"

    let directory: String
    let port: Int
    var data: String { self.directory + "/data" }

    func uri(user: String = "app", password: String? = nil, database: String = "postgres", query: String = "") -> String
    {
        let secret = password.map { ":\($0)" } ?? ""
        return "postgresql://\(user)\(secret)@127.0.0.1:\(self.port)/\(database)\(query)"
    }

    static func with<R>(
        settings: String = "",
        hba: String = "host all all 127.0.0.1/32 trust",
        prepare: (PrivateServer) throws -> Void = { _ in },
        _ body: (PrivateServer) async throws -> R
    ) async throws -> R {
        let directory = "/tmp/" + uniqueName("pgtest")
        let server = PrivateServer(directory: directory, port: Int.random(in: 20_000..<30_000))
        try Shell.run("install -d -m 700 \(getuid() == 0 ? "-o postgres " : "")\(directory)")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try server.asServer(
            "\(Self.binaries)/initdb -D \(server.data) -U app --auth=trust -E UTF8 --locale=C --no-sync"
        )
        try (hba + "\n").write(toFile: server.data + "/pg_hba.conf", atomically: false, encoding: .utf8)
        try prepare(server)
        let lines = "listen_addresses='127.0.0.1'\nunix_socket_directories='\(directory)'\nfsync=off\n\(settings)\n"
        try lines.write(toFile: directory + "/extra.conf", atomically: false, encoding: .utf8)
        try Shell.run("cat \(directory)/extra.conf >> \(server.data)/postgresql.conf")
        try server.start()
        do {
            let result = try await body(server)
            try? server.stop()
            return result
        } catch {
            try? server.stop()
            throw error
        }
    }

    func start() throws {
        try self.asServer(
            "\(Self.binaries)/pg_ctl -D \(self.data) -w -t 30 -l \(self.directory)/log -o '-p \(self.port)' start"
        )
    }

    func stop() throws { try self.asServer("\(Self.binaries)/pg_ctl -D \(self.data) -m immediate -w -t 30 stop") }

    func asServer(_ command: String) throws {
        let user = getuid() == 0 ? "setpriv --reuid=postgres --regid=postgres --clear-groups -- " : ""
        try Shell.run("cd \(self.directory) && \(user)\(command)")
    }
}
