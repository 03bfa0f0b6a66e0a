// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import Foundation
import NIOConcurrencyHelpers
import ServiceLifecycle
import Telephony
import Tracing

/// Takes every call at once and reports its end through the broker, as the webhooks would. Reports that come while others
/// are being published go together.
final class InstantProvider: TelephonyProvider, Service {
    let name = "instant"
    private let broker: AMQPConnection
    private let endsCalls: Bool
    private let onPlace: @Sendable (CallRequest) -> Void
    private let ended = NIOLockedValueBox<[UUID]>([])
    private let placed = NIOLockedValueBox<[UUID]>([])
    private let signal = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))

    /// - Parameters:
    ///   - broker: A connection of its own.
    ///   - endsCalls: Whether calls end at once; else they live until ``report(_:)``.
    ///   - onPlace: Sees every request.
    init(broker: AMQPConnection, endsCalls: Bool = true, onPlace: @escaping @Sendable (CallRequest) -> Void = { _ in }) {
        self.broker = broker
        self.endsCalls = endsCalls
        self.onPlace = onPlace
    }

    /// The calls that were placed, in order.
    var placedCalls: [UUID] { self.placed.withLockedValue(\.self) }

    func run() async throws {
        for await _ in self.signal.stream.cancelOnGracefulShutdown() {
            while true {
                let batch = self.ended.withLockedValue { ended in
                    defer { ended.removeAll(keepingCapacity: true) }
                    return ended
                }
                if batch.isEmpty { break }
                await self.report(.completed, of: batch)
            }
        }
    }

    /// Publishes a report about each call, until the broker has confirmed all.
    func report(_ status: CallStatus, of calls: [UUID]) async {
        var open = calls
        while !open.isEmpty, !Task.isCancelled {
            let now = Date()
            let publications = open.compactMap { callID in
                try? CallMessages.publication(
                    of: CallEvent(
                        callID: callID,
                        providerCallID: Self.id(of: callID),
                        status: status,
                        sequence: 3,
                        occurredAt: now,
                        rawStatus: status.rawValue
                    ),
                    context: InstrumentationContext.topLevel
                )
            }
            let results = await self.broker.publish(batch: publications)
            open = zip(open, results).filter { if case .failure = $1 { true } else { false } }.map(\.0)
        }
    }

    private static func id(of callID: UUID) -> String {
        "CA" + callID.lowercased.replacing("-", with: "")
    }

    func place(_ request: CallRequest) async throws(TelephonyError) -> PlacedCall {
        self.onPlace(request)
        self.placed.withLockedValue { $0.append(request.callID) }
        if self.endsCalls {
            self.ended.withLockedValue { $0.append(request.callID) }
            self.signal.continuation.yield()
        }
        return PlacedCall(providerCallID: Self.id(of: request.callID), rawStatus: "queued")
    }

    func call(id: String) async throws(TelephonyError) -> ProviderCall? {
        ProviderCall(providerCallID: id, status: .answered, rawStatus: "in-progress")
    }

    func findCalls(_ query: CallQuery) async throws(TelephonyError) -> [ProviderCall] { [] }

    func listCalls(
        from callerID: PhoneNumber,
        acceptedAfter: Date,
        _ handle: ([ListedCall]) async throws -> Void
    ) async throws {}

    func hangUp(id: String, onlyIfNotAnswered: Bool) async throws(TelephonyError) {}

    func parseCallback(_ request: CallbackRequest) throws(CallbackError) -> CallEvent {
        throw .malformed(reason: "there are no callbacks here")
    }

    func checkCredentials() async throws(TelephonyError) {}
}
