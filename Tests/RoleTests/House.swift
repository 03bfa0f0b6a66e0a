// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Foundation
import Logging
import NIOConcurrencyHelpers
import Postgres
import Recording
import Selection
import ServiceLifecycle
import Telephony
import TestBasics
import TestSupport

@testable import Dialing

/// A provider that answers as scripted and remembers what it was asked. The broker and the database are real.
final class ScriptedProvider: TelephonyProvider {
    let name = "scripted"
    private let script: @Sendable (CallRequest) throws(TelephonyError) -> PlacedCall
    private let requests = NIOLockedValueBox<[CallRequest]>([])
    private let known = NIOLockedValueBox<[String: ProviderCall]>([:])
    private let asked = NIOLockedValueBox(0)
    private let searched = NIOLockedValueBox(0)
    private let hungUp = NIOLockedValueBox<[String]>([])
    private let whenAsked: @Sendable (CallRequest) async -> Void
    private let remembers: Bool

    /// - Parameters:
    ///   - remembers: Whether it knows the calls that it took: they ring, for as long as the test likes.
    ///   - script: What is answered.
    ///   - whenAsked: Runs when a call is asked for, before anything is answered.
    init(
        remembers: Bool = false,
        _ script: @escaping @Sendable (CallRequest) throws(TelephonyError) -> PlacedCall = {
            PlacedCall(providerCallID: "CA" + $0.callID.lowercased, rawStatus: "queued")
        },
        whenAsked: @escaping @Sendable (CallRequest) async -> Void = { _ in }
    ) {
        self.remembers = remembers
        self.whenAsked = whenAsked
        self.script = script
    }

    /// One that takes calls and never answers, and is asked about them later.
    /// - Parameter id: The completed call that it tells of then.
    /// - Returns: The provider.
    static func silent(knowing id: String) -> ScriptedProvider {
        let provider = ScriptedProvider { _ throws(TelephonyError) in
            throw TelephonyError(code: .unknown, message: "timed out")
        }
        provider.know(
            ProviderCall(
                providerCallID: id,
                status: .completed,
                rawStatus: "completed",
                createdAt: Date(),
                endedAt: Date()
            )
        )
        return provider
    }

    var placements: [CallRequest] { self.requests.withLockedValue(\.self) }
    var questions: Int { self.asked.withLockedValue(\.self) }
    /// How often it was searched for calls.
    var searches: Int { self.searched.withLockedValue(\.self) }
    var hangUps: [String] { self.hungUp.withLockedValue(\.self) }

    /// Makes a call known to look-ups.
    func know(_ call: ProviderCall) {
        self.known.withLockedValue { $0[call.providerCallID] = call }
    }

    func place(_ request: CallRequest) async throws(TelephonyError) -> PlacedCall {
        await self.whenAsked(request)
        self.requests.withLockedValue { $0.append(request) }
        let placed = try self.script(request)
        if self.remembers {
            self.know(
                ProviderCall(
                    providerCallID: placed.providerCallID,
                    status: .ringing,
                    rawStatus: "ringing",
                    createdAt: Date(),
                    endedAt: nil
                )
            )
        }
        return placed
    }

    func call(id: String) async throws(TelephonyError) -> ProviderCall? {
        self.asked.withLockedValue { $0 += 1 }
        return self.known.withLockedValue { $0[id] }
    }

    func findCalls(_ query: CallQuery) async throws(TelephonyError) -> [ProviderCall] {
        self.searched.withLockedValue { $0 += 1 }
        return self.known.withLockedValue { Array($0.values) }
    }

    func listCalls(
        from callerID: PhoneNumber,
        acceptedAfter: Date,
        _ handle: ([ListedCall]) async throws -> Void
    ) async throws {}

    func hangUp(id: String, onlyIfNotAnswered: Bool) async throws(TelephonyError) {
        self.hungUp.withLockedValue { $0.append(id) }
    }

    func parseCallback(_ request: CallbackRequest) throws(CallbackError) -> CallEvent {
        guard request.headers["x-signature"] == "good" else { throw .forged }
        let text = String(decoding: request.body, as: UTF8.self)
        guard let callID = UUID(uuidString: text) else { throw .malformed(reason: "body is no call id") }
        return CallEvent(callID: callID, status: .ringing, occurredAt: Date())
    }

    func checkCredentials() async throws(TelephonyError) {}
}

/// The roles on a scratch database and virtual host.
struct House: Sendable {
    let scratch: Scratch
    let publisher: AMQPConnection

    static func run(_ body: @Sendable (House) async throws -> Void) async throws {
        try await Scratch.run { scratch in
            let publisher = try scratch.connection(
                topology: CallTopology.dialRequests(trunk: "default").union(CallTopology.reports())
                    .union(CallTopology.surveys()).union(CallTopology.hints())
            )
            do {
                try await publisher.waitUntilReady(timeout: .seconds(600))
                try await body(House(scratch: scratch, publisher: publisher))
                await publisher.close()
            } catch {
                await publisher.close()
                throw error
            }
        }
    }

    func selector(
        clock: some Clock<Duration> = ContinuousClock(),
        _ change: (inout SelectorConfiguration) -> Void = { _ in }
    ) -> Selector {
        var configuration = SelectorConfiguration()
        // A loaded machine shall not cut a pass short.
        configuration.passLimit = .seconds(600)
        change(&configuration)
        return Selector(
            configuration: configuration,
            store: self.scratch.store,
            broker: self.publisher,
            logger: self.scratch.logger,
            clock: clock
        )
    }

    /// Runs a dialer while the body runs, then drains it.
    func withDialer(
        _ id: String = "d1",
        provider: any TelephonyProvider,
        clock: DialerTestClock? = nil,
        _ change: (inout DialerConfiguration) -> Void = { _ in },
        _ body: @Sendable (Dialer) async throws -> Void
    ) async throws {
        var configuration = DialerConfiguration(id: id)
        configuration.callsPerSecond = 1000
        configuration.margin = .seconds(2)
        configuration.pollInterval = .milliseconds(500)
        // A loaded machine shall not make a test fail: those that need one selection pass make only one.
        configuration.permissionLifetime = .seconds(60)
        change(&configuration)
        let consuming = try self.scratch.connection(
            topology: CallTopology.dialRequests(trunk: "default").union(CallTopology.hints(dialerID: id))
        )
        let dialer = Dialer(
            configuration: configuration,
            store: self.scratch.store,
            provider: provider,
            consuming: consuming,
            publishing: self.publisher,
            logger: self.scratch.logger,
            clock: clock?.dialerClock ?? .continuous
        )
        try await Self.serving(dialer) {
            // It drains by the same clock.
            defer { clock?.letRun() }
            try await body(dialer)
        }
    }

    /// Runs a recorder while the body runs, then drains it.
    func withRecorder(_ body: @Sendable () async throws -> Void) async throws {
        let consuming = try self.scratch.connection(topology: CallTopology.reports())
        let recorder = OutcomeRecorder(
            configuration: RecorderConfiguration(),
            store: self.scratch.store,
            consuming: consuming,
            publishing: self.publisher,
            logger: self.scratch.logger
        )
        try await Self.serving(recorder) { try await body() }
        await consuming.close()
    }

    /// Runs a recorder with a connection to the database of its own making while the body runs, then drains it.
    func withRecorder(
        parameters: String? = nil,
        options: (inout PostgresConfiguration) -> Void = { _ in },
        _ body: @Sendable (OutcomeRecorder) async throws -> Void
    ) async throws {
        let client = try self.scratch.anotherClient(parameters: parameters, options)
        let consuming = try self.scratch.connection(topology: CallTopology.reports())
        var logger = self.scratch.logger
        logger.logLevel = .error
        let recorder = OutcomeRecorder(
            configuration: RecorderConfiguration(),
            store: CallStore(client: client, logger: logger),
            consuming: consuming,
            publishing: self.publisher,
            logger: logger
        )
        try await Self.serving(recorder) { try await body(recorder) }
        await consuming.close()
        await client.close()
    }

    /// From now on the server answers with an error when certain attempts are changed.
    func raise(_ state: String, onUpdateWhere condition: String) async throws {
        try await self.scratch.execute(
            """
            create function raises() returns trigger language plpgsql as $$
            begin raise exception using errcode = '\(state)', message = 'as told by a test'; end $$
            """
        )
        try await self.scratch.execute(
            """
            create trigger raises before update on call_attempts for each row when (\(condition))
            execute function raises()
            """
        )
    }

    static func serving(_ service: any Service, _ body: @Sendable () async throws -> Void) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .error
        let group = ServiceGroup(services: [service], logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            do {
                try await body()
            } catch {
                await group.triggerGracefulShutdown()
                try? await tasks.waitForAll()
                throw error
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    func report(_ status: CallStatus, _ callID: UUID) async throws {
        let publication = CallMessages.publication(
            of: CallEvent(callID: callID, status: status, occurredAt: Date(), rawStatus: status.rawValue)
        )
        try await self.publisher.publish(
            publication.message,
            exchange: publication.exchange,
            routingKey: publication.routingKey
        )
    }

    /// The database's time, as SQL that means it for ever.
    func time() async throws -> String {
        let now = try await self.scratch.value("select now()::text", as: String.self)
        return "'\(now)'::timestamptz"
    }

    func count(_ condition: String, in table: String = "contacts") async throws -> Int {
        try await self.scratch.value("select count(*) from \(table) where \(condition)", as: Int.self)
    }
}
