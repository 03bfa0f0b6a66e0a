// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AsyncHTTPClient
import Foundation
import Hummingbird
public import Logging
import NIOCore
public import ServiceLifecycle

/// A telephony provider that phones nobody: speaks the Twilio-compatible API and calls back with signed callbacks.
///
/// Its ledger is the independent witness of what was asked of it. It shares no code with the adapter that it tests.
public struct ProviderSimulator: Service {
    /// Looks up what the caller's database holds of a call; nil when that cannot be seen.
    public typealias RowWitness = @Sendable (_ callID: String) async -> LedgerCall.Row?

    private let configuration: SimulatorConfiguration
    private let logger: Logger
    private let witness: RowWitness?
    private let onListening: @Sendable (Int) async -> Void

    /// Creates a simulator.
    /// - Parameters:
    ///   - configuration: How it behaves.
    ///   - logger: Where it logs.
    ///   - onListening: Called with the port once it is open.
    ///   - witness: Asked when a request to place a call arrives, before anything is answered.
    public init(
        configuration: SimulatorConfiguration,
        logger: Logger,
        onListening: @escaping @Sendable (Int) async -> Void = { _ in },
        witness: RowWitness? = nil
    ) {
        self.configuration = configuration
        self.logger = logger
        self.witness = witness
        self.onListening = onListening
    }

    /// Serves until the process drains.
    /// - Throws: ``ScenarioError`` when the configuration cannot be used.
    public func run() async throws {
        let faults = self.configuration.faultsFound()
        guard faults.isEmpty else { throw ScenarioError(faults: faults) }
        var clientConfiguration = HTTPClient.Configuration()
        clientConfiguration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        clientConfiguration.redirectConfiguration = .disallow
        let client = HTTPClient(configuration: clientConfiguration)
        let exchange = try Exchange(
            configuration: self.configuration,
            sender: CallbackSender(
                client: client,
                accountSID: self.configuration.accountSID,
                authToken: self.configuration.authToken
            )
        )
        var logger = self.logger
        logger.logLevel = max(logger.logLevel, .warning)
        let onListening = self.onListening
        let application = Application(
            router: Self.router(exchange: exchange, configuration: self.configuration, witness: self.witness),
            configuration: .init(
                address: .hostname(self.configuration.host, port: self.configuration.port),
                serverName: nil
            ),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? 0) },
            logger: logger
        )
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await exchange.run() }
                try await application.runService(gracefulShutdownSignals: [])
                group.cancelAll()
            }
        } catch {
            try? await client.shutdown()
            throw error
        }
        try? await client.shutdown()
    }

    static func router(
        exchange: Exchange,
        configuration: SimulatorConfiguration,
        witness: RowWitness? = nil
    ) -> Router<BasicRequestContext> {
        let router = Router()
        let account = "/2010-04-01/Accounts/\(configuration.accountSID)"
        let api = ProviderAPI(exchange: exchange, configuration: configuration, witness: witness)
        router.post("\(account)/Calls.json") { request, _ in try await api.place(request) }
        router.get("\(account)/Calls.json") { request, _ in try await api.list(request) }
        router.get("\(account)/Calls/{sid}") { request, context in
            try await api.fetch(request, sid: context.parameters.get("sid"))
        }
        router.post("\(account)/Calls/{sid}") { request, context in
            try await api.update(request, sid: context.parameters.get("sid"))
        }
        for method in [HTTPRequest.Method.get, .post] {
            router.on("/simulator/answer", method: method) { _, _ in
                Response(
                    status: .ok,
                    headers: [.contentType: "text/xml"],
                    body: .init(byteBuffer: ByteBuffer(string: "<Response><Pause length=\"60\"/></Response>\n"))
                )
            }
        }
        router.get("/simulator/ledger") { _, _ in try ProviderAPI.json(await exchange.snapshot()) }
        router.get("/simulator/ledger/summary") { _, _ in try ProviderAPI.json(await exchange.summarized()) }
        router.put("/simulator/scenario") { request, _ in
            let body = try await request.body.collect(upTo: 1 << 20)
            do {
                await exchange.change(try SimulatorConfiguration.scenario(json: Array(body.readableBytesView)))
                return Response(status: .noContent)
            } catch let error as ScenarioError {
                return Response(
                    status: .badRequest,
                    body: .init(byteBuffer: ByteBuffer(string: error.description + "\n"))
                )
            }
        }
        if let token = configuration.controlToken { Self.addControl(to: router, exchange: exchange, token: token) }
        router.get("/health") { _, _ in "ready\n" }
        return router
    }
}
