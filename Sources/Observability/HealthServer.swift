// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Hummingbird
public import Logging
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

/// Serves `/health/live`, `/health/ready` and `/metrics`.
///
/// Live means that the process answers; ready means that every check passes. A process that is not ready goes on
/// trying: restarting it would not help.
public struct HealthServer: Service {
    private let host: String
    private let port: Int
    private let checks: [HealthCheck]
    private let metrics: MetricsRegistry
    private let logger: Logger

    /// Creates a server.
    public init(host: String, port: Int, checks: [HealthCheck], metrics: MetricsRegistry, logger: Logger) {
        self.host = host
        self.port = port
        self.checks = checks
        self.metrics = metrics
        self.logger = logger
    }

    /// Serves until the process drains.
    public func run() async throws {
        var logger = self.logger
        logger.logLevel = max(logger.logLevel, .warning)
        let application = Application(
            router: Self.router(checks: self.checks, metrics: self.metrics),
            configuration: .init(address: .hostname(self.host, port: self.port), serverName: nil),
            logger: logger
        )
        try await application.runService(gracefulShutdownSignals: [])
    }

    /// The routes, apart from a running server.
    public static func router(checks: [HealthCheck], metrics: MetricsRegistry) -> Router<BasicRequestContext> {
        let router = Router()
        router.get("/metrics") { _, _ in
            Response(
                status: .ok,
                headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
                body: .init(byteBuffer: ByteBuffer(string: metrics.exposition()))
            )
        }
        router.get("/health/live") { _, _ in "live\n" }
        router.get("/health/ready") { _, _ -> Response in
            var faults: [String] = []
            for check in checks {
                if let fault = await check.fault() { faults.append("\(check.name): \(fault)") }
            }
            let text = faults.isEmpty ? "ready\n" : faults.joined(separator: "\n") + "\n"
            return Response(
                status: faults.isEmpty ? .ok : .serviceUnavailable,
                headers: [.contentType: "text/plain; charset=utf-8"],
                body: .init(byteBuffer: ByteBuffer(string: text))
            )
        }
        return router
    }
}
