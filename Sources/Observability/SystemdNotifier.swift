// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation
public import Logging
public import ServiceLifecycle

/// Tells systemd when the process is ready, that it lives, and when it stops.
///
/// Source: sd_notify(3) and systemd.service(5), `Type=notify` and `WatchdogSec=`. Ready means that every check has passed
/// once; a server that is away later does not make systemd restart the role, because that would not help.
public struct SystemdNotifier: Service {
    private let socketPath: String
    private let watchdog: Duration?
    private let checks: [HealthCheck]
    private let logger: Logger

    /// Creates a notifier; nil when systemd has not started this process.
    /// - Parameters:
    ///   - environment: The process's environment, in which systemd names its socket.
    ///   - checks: What must pass for the role to be ready.
    ///   - logger: Where it logs.
    public init?(environment: [String: String], checks: [HealthCheck], logger: Logger) {
        guard let path = environment["NOTIFY_SOCKET"], !path.isEmpty else { return nil }
        self.socketPath = path
        self.watchdog = environment["WATCHDOG_USEC"].flatMap { Int64($0) }.map { .microseconds($0 / 2) }
        self.checks = checks
        self.logger = logger
    }

    /// Notifies until the process drains.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            var isReady = false
            var beat = ContinuousClock.now
            while !Task.isCancelled {
                if !isReady {
                    isReady = await self.allPass()
                    if isReady { self.send("READY=1") }
                }
                if let watchdog = self.watchdog, ContinuousClock.now >= beat {
                    self.send("WATCHDOG=1")
                    beat = ContinuousClock.now + watchdog
                }
                try? await Task.sleep(for: min(.milliseconds(250), self.watchdog ?? .seconds(1)))
            }
        }
        self.send("STOPPING=1")
    }

    private func allPass() async -> Bool {
        for check in self.checks where await check.fault() != nil { return false }
        return true
    }

    private func send(_ message: String) {
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        // An abstract socket's name starts with a zero byte, which systemd writes as @.
        let name = Array(self.socketPath.utf8)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard name.count < room else { return }
        withUnsafeMutableBytes(of: &address.sun_path) { bytes in
            bytes.copyBytes(from: name)
            if name.first == UInt8(ascii: "@") { bytes[0] = 0 }
        }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        let sent = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                sendto(descriptor, message, message.utf8.count, 0, generic, length)
            }
        }
        if sent < 0 { self.logger.debug("systemd could not be told", metadata: .keys([.error: "\(message)"])) }
    }
}
