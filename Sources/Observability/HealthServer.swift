// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Hummingbird
public import Logging
import NIOConcurrencyHelpers
import NIOCore
public import ServiceLifecycle

/// One thing that must work for the process to do its job.
public struct HealthCheck: Sendable {
    /// What is checked, e.g. `database`.
    public let name: String
    /// Answers nil when all is well, else what is wrong, in one line and without secrets.
    public let fault: @Sendable () async -> String?

    /// Creates a check.
    public init(name: String, fault: @escaping @Sendable () async -> String?) {
        self.name = name
        self.fault = fault
    }
}

/// What must work in this process, from its first moment on.
public final class HealthBoard: Sendable {
    private let state: NIOLockedValueBox<[HealthCheck]>

    /// Creates a board of a process that starts.
    /// - Parameter step: What it does first.
    public init(starting step: String) {
        self.state = NIOLockedValueBox([Self.starting(step)])
    }

    /// Creates a board of a process that has started.
    public init(_ checks: [HealthCheck]) {
        self.state = NIOLockedValueBox(checks)
    }

    /// Notes what a process does that is not ready yet.
    public func starts(_ step: String) { self.state.withLockedValue { $0 = [Self.starting(step)] } }

    /// Notes that the process has started.
    public func started(_ checks: [HealthCheck]) { self.state.withLockedValue { $0 = checks } }

    /// What is wrong now, a line each.
    public func faults() async -> [String] { await HealthCheck.faults(of: self.state.withLockedValue(\.self)) }

    private static func starting(_ step: String) -> HealthCheck { HealthCheck(name: "starting") { step } }
}

extension HealthCheck {
    /// Asks checks.
    /// - Returns: What is wrong, a line each.
    public static func faults(of checks: [HealthCheck]) async -> [String] {
        var faults: [String] = []
        for check in checks {
            if let fault = await check.fault() { faults.append("\(check.name): \(fault)") }
        }
        return faults
    }
}

/// Serves `/health/live`, `/health/ready`, for people `/health`, which is the same, and `/metrics`.
///
/// Live means that the process answers; ready means that every check passes. A process that is not ready goes on
/// trying: restarting it would not help.
public struct HealthServer: Service {
    private let host: String
    private let port: Int
    private let board: HealthBoard
    private let metrics: MetricsRegistry
    private let logger: Logger

    /// Creates a server.
    public init(host: String, port: Int, board: HealthBoard, metrics: MetricsRegistry, logger: Logger) {
        self.host = host
        self.port = port
        self.board = board
        self.metrics = metrics
        self.logger = logger
    }

    /// Serves until the process drains.
    /// - Throws: ``PortFault`` when nobody can listen there.
    public func run() async throws {
        var logger = self.logger
        logger.logLevel = max(logger.logLevel, .warning)
        let application = Application(
            router: Self.router(board: self.board, metrics: self.metrics),
            configuration: .init(address: .hostname(self.host, port: self.port), serverName: nil),
            logger: logger
        )
        do {
            try await application.runService(gracefulShutdownSignals: [])
        } catch let error as IOError {
            throw PortFault(setting: "HEALTH_PORT", host: self.host, port: self.port, cause: error)
        }
    }

    /// The routes, apart from a running server.
    public static func router(board: HealthBoard, metrics: MetricsRegistry) -> Router<BasicRequestContext> {
        let router = Router()
        router.get("/metrics") { _, _ in
            Response(
                status: .ok,
                headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: .init(byteBuffer: ByteBuffer(string: metrics.exposition()))
            )
        }
        router.get("/health/live") { _, _ in "live\n" }
        for path in ["/health/ready", "/health"] as [RouterPath] {
            router.get(path) { _, _ -> Response in
                let faults = await board.faults()
                let text = faults.isEmpty ? "ready\n" : faults.joined(separator: "\n") + "\n"
                return Response(
                    status: faults.isEmpty ? .ok : .serviceUnavailable,
                    headers: [.contentType: "text/plain; charset=utf-8"],
                    body: .init(byteBuffer: ByteBuffer(string: text))
                )
            }
        }
        return router
    }
}
