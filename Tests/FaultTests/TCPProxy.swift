// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix

/// A wire that can be cut, held up or taken away. Listens on a loopback port and passes bytes on, to several servers
/// in turn.
final class TCPProxy: Sendable {
    private struct State {
        var isAway = false
        var hasTurnedAway = false
        var isHeld = false
        var targets: [Int] = []
        var turn = 0
        /// Oldest first, so that which ones break does not hang on where they lie in memory.
        var channels: [any Channel] = []
    }

    private let state = NIOLockedValueBox(State())
    private let server: NIOLockedValueBox<(any Channel)?> = NIOLockedValueBox(nil)
    private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    /// The port that it listens on.
    let port: Int

    /// - Parameters:
    ///   - port: Where to listen.
    ///   - targets: The servers' loopback ports.
    /// - Throws: When the port cannot be opened.
    init(port: Int, targets: [Int]) async throws {
        self.port = port
        self.state.withLockedValue { $0.targets = targets }
        try await self.open()
    }

    /// Passes connections to come on to other servers.
    func point(at targets: [Int]) { self.state.withLockedValue { $0.targets = targets } }

    /// Listens, again after ``close()``.
    func open() async throws {
        let channel = try await ServerBootstrap(group: Self.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.maxMessagesPerRead, value: 4)
            .childChannelInitializer { [weak self] inbound in
                guard let self else { return inbound.close() }
                return self.join(inbound)
            }
            .bind(host: "127.0.0.1", port: self.port).get()
        self.server.withLockedValue { $0 = channel }
    }

    /// Breaks all connections off and refuses new ones, as a host without the server does.
    func close() async {
        try? await self.server.withLockedValue(\.self)?.close()
        self.cut(oneIn: 1)
    }

    /// Breaks connections off, each `oneIn`th of them.
    /// - Returns: Whether there were any.
    @discardableResult
    func cut(oneIn: Int) -> Bool {
        let channels = self.state.withLockedValue(\.channels)
        for (index, channel) in channels.enumerated() where index % oneIn == 0 { channel.close(promise: nil) }
        return !channels.isEmpty
    }

    /// Takes the server away: present connections break, new ones are closed at once.
    func takeAway() {
        self.state.withLockedValue {
            $0.isAway = true
            $0.hasTurnedAway = false
        }
        if self.cut(oneIn: 1) { self.state.withLockedValue { $0.hasTurnedAway = true } }
    }

    /// Whether anybody has noticed that the server is away.
    var hasTurnedAway: Bool { self.state.withLockedValue(\.hasTurnedAway) }

    /// Whether anybody is connected.
    var isUsed: Bool { self.state.withLockedValue { !$0.channels.isEmpty } }

    /// Brings the server back.
    func bringBack() {
        self.state.withLockedValue { $0.isAway = false }
    }

    /// Passes nothing on until released; connections stay, new ones are accepted and wait.
    func hold() { self.setHeld(true) }

    /// Passes on what has waited, and all that follows.
    func release() { self.setHeld(false) }

    private func setHeld(_ isHeld: Bool) {
        let channels = self.state.withLockedValue { state in
            state.isHeld = isHeld
            return state.channels
        }
        for channel in channels { channel.setOption(.autoRead, value: !isHeld).whenComplete { _ in } }
    }

    private func join(_ inbound: any Channel) -> EventLoopFuture<Void> {
        let target = self.state.withLockedValue { state -> Int? in
            if state.isAway { state.hasTurnedAway = true }
            guard !state.isAway, !state.targets.isEmpty else { return nil }
            state.turn += 1
            return state.targets[state.turn % state.targets.count]
        }
        guard let target else { return inbound.close() }
        return ClientBootstrap(group: inbound.eventLoop)
            .channelOption(.autoRead, value: false)
            .connect(host: "127.0.0.1", port: target)
            .flatMap { outbound in
                do {
                    try inbound.pipeline.syncOperations.addHandler(Pump(outbound))
                    try outbound.pipeline.syncOperations.addHandler(Pump(inbound))
                } catch {
                    return inbound.eventLoop.makeFailedFuture(error)
                }
                let isHeld = self.state.withLockedValue { state in
                    state.channels += [inbound, outbound]
                    return state.isHeld
                }
                for channel in [inbound, outbound] {
                    channel.closeFuture.whenComplete { _ in
                        self.state.withLockedValue { state in state.channels.removeAll { $0 === channel } }
                    }
                    if !isHeld { channel.setOption(.autoRead, value: true).whenComplete { _ in } }
                }
                return inbound.eventLoop.makeSucceededVoidFuture()
            }
            .flatMapError { error in
                inbound.close().flatMapThrowing { throw error }
            }
    }
}

/// Hands what it reads to the other end.
private final class Pump: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let other: any Channel

    init(_ other: any Channel) {
        self.other = other
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.other.writeAndFlush(self.unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.other.close(promise: nil)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
