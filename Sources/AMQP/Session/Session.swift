// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import Foundation

/// One life of a connection to the broker. Confined to the connection's thread: the library is not thread-safe.
///
/// Reads frames itself, and waits for no answer inside the library: its own reader loses frames of other channels, and its
/// calls would hold up everything while the broker takes its time. Nothing here throws: the first fault of the connection
/// is kept, and nothing is written after it.
final class Session {
    let connection: amqp_connection_state_t
    let configuration: AMQPConfiguration
    let inbox: Commands
    let report: @Sendable (SessionNews) -> Void
    /// Why the connection is of no use any more.
    private(set) var failure: AMQPError?
    var isBlocked = false
    var numbers = ChannelNumbers(limit: 0)
    var channels: [UInt16: Channel] = [:]
    var operations: [UInt16: Operation] = [:]
    var assemblers: [UInt16: FrameAssembler] = [:]
    /// Those that take messages, by exchange.
    var publishers: [String: Publisher] = [:]
    /// With those that only wait for confirms.
    var allPublishers: [Publisher] = []
    var publishersTendedAt = ContinuousClock.now
    var getters: [String: Getter] = [:]
    var upkeep = Upkeep()
    /// What the connection's users have declared.
    let topology: () -> AMQPTopology
    /// For the arguments of one call into the library.
    let arena = Arena()
    /// What has arrived and is not handed out yet.
    private var arrived: [(subscriber: Subscriber, delivery: AMQPDelivery)] = []

    /// What a channel is for.
    enum Channel {
        case call
        case publishing(Publisher)
        case consuming(Source)
        case getting(Getter)
        /// Closed by us; what still comes on it is left over, until the broker has agreed.
        case closing
    }

    /// Connects and logs in.
    /// - Throws: ``AMQPError``: `connectionFailed`, `accessRefused` or `tls`.
    init(
        configuration: AMQPConfiguration,
        node: AMQPNode,
        inbox: Commands,
        topology: @escaping () -> AMQPTopology,
        report: @escaping @Sendable (SessionNews) -> Void
    ) throws(AMQPError) {
        guard let connection = amqp_new_connection() else {
            throw AMQPError(code: .connectionFailed, message: "out of memory")
        }
        self.connection = connection
        self.configuration = configuration
        self.inbox = inbox
        self.topology = topology
        self.report = report
        let handshake = Handshake(connection: connection, configuration: configuration, node: node)
        try handshake.connect()
        report(.opened(SocketHandle(duplicating: self.socket)))
        try handshake.logIn()
        handshake.limitSilence(heartbeat: self.heartbeat)
        self.numbers = ChannelNumbers(limit: Int(amqp_get_channel_max(connection)))
    }

    deinit {
        amqp_destroy_connection(self.connection)
    }

    /// The socket; -1 once the library has closed it.
    var socket: Int32 { amqp_get_sockfd(self.connection) }

    /// Seconds between heartbeats, as agreed with the broker: the lower of both wishes.
    var heartbeat: Int {
        let agreed = Int(amqp_get_heartbeat(self.connection))
        return agreed > 0 ? agreed : max(1, Int(self.configuration.heartbeat.components.seconds))
    }

    /// Keeps the first fault.
    func fail(_ error: AMQPError) {
        if self.failure == nil { self.failure = error }
    }

    /// - Returns: Whether the library did it; if not, the connection is broken.
    @discardableResult
    func check(_ status: Int32, _ activity: String) -> Bool {
        guard status != AMQP_STATUS_OK.rawValue else { return true }
        self.fail(
            AMQPError(
                code: .connectionLost,
                message: "\(activity): \(String(cString: amqp_error_string2(status)))",
                isOutcomeUnknown: true
            )
        )
        return false
    }

    /// Writes a method for which nobody waits.
    func send<Method>(_ id: Int, _ method: Method, on channel: UInt16, _ activity: String) {
        guard self.failure == nil else { return }
        var method = method
        self.check(
            withUnsafeMutablePointer(to: &method) {
                amqp_send_method(self.connection, channel, amqp_method_number_t(id), $0)
            },
            activity
        )
    }

    /// Handles all frames that have arrived. Also sends and checks heartbeats.
    func readFrames() {
        var frame = amqp_frame_t()
        var now = timeval(tv_sec: 0, tv_usec: 0)
        while self.failure == nil {
            let status = amqp_simple_wait_frame_noblock(self.connection, &frame, &now)
            if status == AMQP_STATUS_TIMEOUT.rawValue { break }
            guard self.check(status, "reading") else { break }
            self.handle(frame)
            if self.arrived.count >= 64 { self.handOut() }
            amqp_maybe_release_buffers_on_channel(self.connection, frame.channel)
        }
        self.handOut()
    }

    func arrived(_ delivery: AMQPDelivery, for subscriber: Subscriber) {
        self.arrived.append((subscriber, delivery))
    }

    /// Together: waking a consumer for each delivery costs more than reading it.
    func handOut() {
        guard !self.arrived.isEmpty else { return }
        let deliveries = self.arrived
        self.arrived.removeAll(keepingCapacity: true)
        self.report(.delivered(deliveries.count))
        var unwanted: [Settlement] = []
        for (subscriber, delivery) in deliveries where !subscriber.deliveries.put(delivery) {
            unwanted.append(Settlement(channel: delivery.channel, tag: delivery.deliveryTag, kind: .requeue))
        }
        if !unwanted.isEmpty { self.settle(unwanted) }
    }

    /// Ends the connection in order, within a bound.
    func close() {
        guard self.failure == nil else { return }
        var limit = timeval(tv_sec: 2, tv_usec: 0)
        amqp_set_rpc_timeout(self.connection, &limit)
        _ = amqp_connection_close(self.connection, AMQP_REPLY_SUCCESS)
    }

    /// The connection is gone: settles what waits for it.
    func abandon(_ error: AMQPError) {
        self.fail(error)
        // What has been written may have arrived, whatever ended the connection.
        let unknown = AMQPError(
            code: error.code,
            replyCode: error.replyCode,
            message: error.message,
            isOutcomeUnknown: true
        )
        let operations = self.operations.values
        let channels = self.channels.values
        self.operations.removeAll()
        self.channels.removeAll()
        for operation in operations { operation.done(.failure(unknown)) }
        for publisher in self.allPublishers { publisher.window.failAll(unknown) }
        for channel in channels {
            switch channel {
            case .consuming(let source): source.channel.invalidate()
            case .getting(let getter): getter.end(unknown)
            case .call, .publishing, .closing: break
            }
        }
        for waiter in self.upkeep.waiters { waiter.give(.failure(error)) }
        self.upkeep.waiters.removeAll()
    }
}

/// What a session tells its connection.
enum SessionNews: Sendable {
    case opened(SocketHandle)
    case blocked(String)
    case unblocked
    case delivered(Int)
    case consumerLost(String)
    case faults([AMQPError])
}

/// The connection's socket under a number of our own, so that it can be shut from another thread: the library closes its
/// own number whenever it likes, and another file may have it then.
final class SocketHandle: Sendable {
    private let descriptor: Int32

    init(duplicating socket: Int32) {
        self.descriptor = fcntl(socket, F_DUPFD_CLOEXEC, 0)
    }

    deinit {
        if self.descriptor >= 0 { Glibc.close(self.descriptor) }
    }

    /// Cuts the connection; whoever writes or reads meets an error.
    func cut() {
        if self.descriptor >= 0 { shutdown(self.descriptor, Int32(SHUT_RDWR)) }
    }
}
