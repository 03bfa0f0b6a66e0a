// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestBasics

/// A stack of the test's own, whose servers may be killed and frozen.
struct Servers: Sendable {
    enum Kind: String, Sendable, CaseIterable {
        case postgres
        case rabbitmq
    }

    let name: String
    private let nodes: Int
    private let data: String
    private let urls: [String: String]
    /// A small disk beside the database's own, which can be filled; nil where there is none.
    let disk: String?

    /// Whether a disk of its own can be had: it is mounted, which takes root.
    static var mayMount: Bool { geteuid() == 0 }

    /// Starts the servers.
    /// - Parameters:
    ///   - name: The stack's name.
    ///   - nodes: How many nodes the broker has.
    ///   - disk: The size of a small disk, in megabytes; nil for none.
    /// - Returns: The servers.
    /// - Throws: When they cannot be started.
    static func start(name: String, nodes: Int = 1, disk: Int? = nil) async throws -> Servers {
        // Who met a fault is read in the server's log.
        let settings = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        defer { try? FileManager.default.removeItem(at: settings) }
        try "log_line_prefix = '%m [%p] %u '\n".write(to: settings, atomically: true, encoding: .utf8)
        let small = disk.map { " --disk \($0)" } ?? ""
        try await Shell.stack("up --name \(name) --nodes \(nodes) --postgresql-conf '\(settings.path)'\(small)")
        let folder = Shell.root.appendingPathComponent(".local/stack-\(name)")
        let text = try String(contentsOf: folder.appendingPathComponent("urls.env"), encoding: .utf8)
        var urls: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { urls[String(parts[0])] = String(parts[1]) }
        }
        let data = try String(contentsOf: folder.appendingPathComponent("data-directory"), encoding: .utf8)
        let place = try? String(contentsOf: folder.appendingPathComponent("disk"), encoding: .utf8)
        return Servers(
            name: name,
            nodes: nodes,
            data: data.trimmingCharacters(in: .newlines),
            urls: urls,
            disk: place?.trimmingCharacters(in: .newlines)
        )
    }

    func stop() async throws { try await Shell.stack("down --name \(self.name)") }

    /// The servers' addresses, straight.
    var databaseURL: String { self.urls["DATABASE_URL"] ?? "" }
    var brokerURL: String { self.urls["AMQP_URL"] ?? "" }
    var managementURL: String { self.urls["RABBITMQ_MANAGEMENT_URL"] ?? "" }

    /// What PostgreSQL has logged since it was started last.
    var databaseLog: Data { (try? Data(contentsOf: URL(fileURLWithPath: self.data + "/postgres.log"))) ?? Data() }

    /// The address of one node of the broker, counted from 1.
    func brokerURL(ofNode node: Int) -> String {
        let parts = self.brokerURL.split(separator: "@", maxSplits: 1)
        let hosts = parts.last?.split(separator: "/").first?.split(separator: ",") ?? []
        return hosts.indices.contains(node - 1) ? "\(parts[0])@\(hosts[node - 1])/" : ""
    }

    /// The name of one node of the broker, counted from 1.
    func nodeName(_ node: Int) -> String { (node == 1 ? self.name : "\(self.name)-\(node)") + "@localhost" }

    static func port(of url: String) -> Int { URLComponents(string: url)?.port ?? 0 }

    /// The same address by way of another port.
    static func url(_ url: String, port: Int) -> String {
        var components = URLComponents(string: url)
        components?.port = port
        return components?.string ?? ""
    }

    /// Ends a server with a signal and starts it again: SIGKILL for a crash, SIGTERM or SIGINT for an orderly stop.
    /// - Returns: Whether there was one to end.
    func restart(_ kind: Kind, signal: Int32, pause: Duration) async throws -> Bool {
        let processes = try self.processes(kind)
        guard let leader = processes.first else { return false }
        // A crash of the machine takes the children too; they would otherwise notice only after a while.
        for process in signal == SIGKILL ? processes : [leader] { kill(process, signal) }
        do {
            try await eventually("\(kind) is gone") { !Self.isAlive(leader) }
        } catch {
            // A broker that drains waits for clients that are frozen or cut off; a service manager would not.
            kill(leader, SIGKILL)
            try await eventually("\(kind) is gone") { !Self.isAlive(leader) }
        }
        try await Task.sleep(for: pause)
        try await Shell.stack("up --name \(self.name)")
        return true
    }

    /// Kills the broker's node of this name, as in `NAME-2@localhost`.
    func killNode(_ node: String) async throws {
        let suffix = node.split(separator: "@")[0].dropFirst(self.name.count)
        let text = try String(contentsOfFile: self.data + "/rabbitmq\(suffix)/beam.pid", encoding: .utf8)
        guard let process = text.split(separator: "\n").first.flatMap({ pid_t($0) }), Self.isAlive(process) else {
            return
        }
        kill(process, SIGKILL)
        try await eventually("the node is gone") { !Self.isAlive(process) }
    }

    /// Starts what has died.
    func startMissing() async throws { try await Shell.stack("up --name \(self.name)") }

    /// The node that leads a quorum queue now, as any node that lives tells it.
    func leader(of queue: String) async throws -> String {
        var failure: (any Error)?
        for index in 1...self.nodes {
            do {
                let lines = try await Shell.output(
                    "'\(Shell.root.path)/ops/stack' ctl --name \(self.name) -n \(self.nodeName(index)) --quiet list_queues"
                        + " name leader --no-table-headers"
                ).split(separator: "\n")
                let line = lines.first { $0.hasPrefix(queue + "\t") }
                return line.map { String($0.split(separator: "\t")[1]) } ?? ""
            } catch {
                failure = error
            }
        }
        throw failure ?? CancellationError()
    }

    /// - Returns: Whether there was anything to freeze.
    func freeze(_ kind: Kind) throws -> Bool {
        let processes = try self.processes(kind)
        return processes.map { kill($0, SIGSTOP) }.contains(0)
    }

    func thaw(_ kind: Kind) throws { for process in try self.processes(kind) { kill(process, SIGCONT) } }

    /// Lets the broker run out of its disk limit: it blocks publishers.
    /// - Returns: Whether the broker says that it is alarmed.
    func setDiskAlarm(_ isSet: Bool) async throws -> Bool {
        let limit = isSet ? "10000GB" : "100MB"
        let alarms = try await Shell.output(
            "'\(Shell.root.path)/ops/stack' ctl --name \(self.name) eval"
                + " 'rabbit_disk_monitor:set_disk_free_limit(\"\(limit)\"), rabbit_alarm:get_alarms().'"
        )
        return alarms.contains("disk")
    }

    /// The server's process and its children, the former first.
    private func processes(_ kind: Kind) throws -> [pid_t] {
        let file = kind == .postgres ? "/postgres/data/postmaster.pid" : "/rabbitmq/beam.pid"
        let text = try String(contentsOfFile: self.data + file, encoding: .utf8)
        guard let line = text.split(separator: "\n").first, let leader = pid_t(line), Self.isAlive(leader) else {
            return []
        }
        guard kind == .postgres else { return [leader] }
        let children = try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { pid_t($0) }
            .filter { Self.parent(of: $0) == leader }
        return [leader] + children
    }

    /// The state and the parent of a process; nil when there is none.
    private static func stat(_ process: pid_t) -> [Substring]? {
        guard let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let end = stat.lastIndex(of: ")")
        else { return nil }
        return stat[stat.index(after: end)...].split(separator: " ")
    }

    /// A process that has ended but was not reaped yet counts as gone.
    private static func isAlive(_ process: pid_t) -> Bool {
        Self.stat(process).map { $0[0] != "Z" } ?? false
    }

    private static func parent(of process: pid_t) -> pid_t? {
        Self.stat(process).flatMap { $0.count > 1 ? pid_t($0[1]) : nil }
    }
}
