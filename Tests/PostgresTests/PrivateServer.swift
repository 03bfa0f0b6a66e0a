// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A throw-away server of a test's own.
struct PrivateServer: Sendable {
    struct CommandFailed: Error, CustomStringConvertible {
        let description: String
    }

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
        try run("install -d -m 700 \(getuid() == 0 ? "-o postgres " : "")\(directory)")
        defer { try? FileManager.default.removeItem(atPath: directory) }
        try server.asServer(
            "\(Self.binaries)/initdb -D \(server.data) -U app --auth=trust -E UTF8 --locale=C --no-sync"
        )
        try (hba + "\n").write(toFile: server.data + "/pg_hba.conf", atomically: false, encoding: .utf8)
        try prepare(server)
        let lines = "listen_addresses='127.0.0.1'\nunix_socket_directories='\(directory)'\nfsync=off\n\(settings)\n"
        try lines.write(toFile: directory + "/extra.conf", atomically: false, encoding: .utf8)
        try run("cat \(directory)/extra.conf >> \(server.data)/postgresql.conf")
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
        try Self.run("cd \(self.directory) && \(user)\(command)")
    }

    static func run(_ command: String) throws {
        // Not Foundation's Process: it waits for a descriptor that the server inherits.
        let log = FileManager.default.temporaryDirectory.path + "/" + uniqueName("command")
        defer { try? FileManager.default.removeItem(atPath: log) }
        let words = ["/bin/sh", "-c", "(\(command)) >\(log) 2>&1 </dev/null"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { arguments.forEach { free($0) } }
        var child: pid_t = 0
        var status: Int32 = -1
        if posix_spawn(&child, "/bin/sh", nil, nil, arguments, environ) == 0 { waitpid(child, &status, 0) }
        guard status == 0 else {
            let output = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
            throw CommandFailed(description: "\(command): \(output)")
        }
    }
}
