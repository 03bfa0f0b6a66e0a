// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CRabbitMQ
import Foundation

/// One life of a connection to the broker. Confined to the connection's thread: the library is not thread-safe.
///
/// Reads frames itself: the library's own message reader loses frames of other channels.
final class Session {
    let connection: amqp_connection_state_t
    let configuration: AMQPConfiguration
    let inbox: Inbox
    let report: @Sendable (SessionNews) -> Void
    var window = ConfirmWindow()
    var isConfirming = false
    var isBlocked = false
    var assemblers: [UInt16: FrameAssembler] = [:]
    var subscriptions: [UInt16: Subscription] = [:]
    var pendingGet: ((Result<AMQPDelivery?, AMQPError>) -> Void)?
    var getChannel: ChannelReference?
    /// Consumers whose channel was closed or whose queue went away, with the time to try again.
    var lostConsumers: [(consumer: AMQPConsumer, retryAt: ContinuousClock.Instant)] = []
    /// For what is done thousands of times a second.
    let arena = Arena()
    /// What has arrived and is not handed out yet.
    var arrived: [(consumer: AMQPConsumer, delivery: AMQPDelivery)] = []
    private var nextChannel: UInt16 = 10

    /// A consumer on its channel.
    struct Subscription {
        let consumer: AMQPConsumer
        let channel: ChannelReference
        let tag: String
        var unacked = UnackedTags()
        var isCancelled = false
    }

    static let publishChannel: UInt16 = 1
    static let callChannel: UInt16 = 2
    static let getChannelNumber: UInt16 = 3

    /// Connects and logs in.
    /// - Throws: ``AMQPError``: `connectionFailed`, `accessRefused` or `tls`.
    init(
        configuration: AMQPConfiguration,
        node: AMQPNode,
        inbox: Inbox,
        report: @escaping @Sendable (SessionNews) -> Void
    ) throws(AMQPError) {
        guard let connection = amqp_new_connection() else {
            throw AMQPError(code: .connectionFailed, message: "out of memory")
        }
        self.connection = connection
        self.configuration = configuration
        self.inbox = inbox
        self.report = report
        try Handshake(connection: connection, configuration: configuration, node: node).perform()
    }

    deinit {
        amqp_destroy_connection(self.connection)
    }

    /// The socket; -1 once the library has closed it.
    var socket: Int32 { amqp_get_sockfd(self.connection) }

    /// Handles all frames that have arrived. Also sends and checks heartbeats.
    func readFrames() throws(AMQPError) {
        defer { self.handOut() }
        var frame = amqp_frame_t()
        var now = timeval(tv_sec: 0, tv_usec: 0)
        while true {
            let status = amqp_simple_wait_frame_noblock(self.connection, &frame, &now)
            if status == AMQP_STATUS_TIMEOUT.rawValue { return }
            try self.check(status, "reading")
            try self.handle(frame)
            if self.arrived.count >= 64 { self.handOut() }
            amqp_maybe_release_buffers(self.connection)
        }
    }

    /// Together: waking a consumer for each delivery costs more than reading it.
    private func handOut() {
        guard !self.arrived.isEmpty else { return }
        self.report(.delivered(self.arrived.count))
        for (consumer, delivery) in self.arrived { consumer.yield(delivery) }
        self.arrived.removeAll(keepingCapacity: true)
    }

    /// Turns a library status into an error of a broken connection.
    func check(_ status: Int32, _ activity: String) throws(AMQPError) {
        guard status != AMQP_STATUS_OK.rawValue else { return }
        throw AMQPError(
            code: .connectionLost,
            message: "\(activity): \(String(cString: amqp_error_string2(status)))",
            isOutcomeUnknown: true
        )
    }

    /// Turns an RPC's reply into an error. A channel that the broker closed over it is acknowledged as closed: without
    /// the close-ok the broker keeps its deliveries.
    /// - Throws: `topologyMismatch`, `notFound`, `accessRefused` or `channelClosed` when only the channel is gone;
    ///   `connectionLost` or `timeout` when the connection is.
    func check(_ reply: amqp_rpc_reply_t, channel: UInt16, _ activity: String) throws(AMQPError) {
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL:
            return
        case AMQP_RESPONSE_SERVER_EXCEPTION where reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD:
            let close = reply.reply.decoded.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            let error = Self.channelError(code: Int(close.reply_code), text: String(close.reply_text), activity)
            try self.acknowledgeClose(of: channel)
            throw error
        case AMQP_RESPONSE_SERVER_EXCEPTION where reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD:
            let close = reply.reply.decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            throw try self.connectionClosed(code: Int(close.reply_code), text: String(close.reply_text))
        default:
            throw AMQPError(
                code: reply.library_error == AMQP_STATUS_TIMEOUT.rawValue ? .timeout : .connectionLost,
                message: "\(activity): \(String(cString: amqp_error_string2(reply.library_error)))",
                isOutcomeUnknown: true
            )
        }
    }

    func acknowledgeClose(of channel: UInt16) throws(AMQPError) {
        var closeOK = amqp_channel_close_ok_t()
        try self.check(
            amqp_send_method(self.connection, channel, amqp_method_number_t(AMQP_CHANNEL_CLOSE_OK_METHOD), &closeOK),
            "closing a channel"
        )
    }

    func connectionClosed(code: Int, text: String) throws(AMQPError) -> AMQPError {
        var closeOK = amqp_connection_close_ok_t()
        _ = amqp_send_method(self.connection, 0, amqp_method_number_t(AMQP_CONNECTION_CLOSE_OK_METHOD), &closeOK)
        return AMQPError(
            code: .connectionLost,
            replyCode: code,
            message: "the broker closed the connection: \(text)",
            isOutcomeUnknown: true
        )
    }

    static func channelError(code: Int, text: String, _ activity: String) -> AMQPError {
        let kind: AMQPError.Code =
            switch code {
            case 403: .accessRefused
            case 404: .notFound
            case 406: .topologyMismatch
            default: .channelClosed
            }
        return AMQPError(code: kind, replyCode: code, message: "\(activity): \(text)", isOutcomeUnknown: code >= 500)
    }

    func open(_ channel: UInt16) throws(AMQPError) {
        amqp_channel_open(self.connection, channel)
        try self.check(amqp_get_rpc_reply(self.connection), channel: channel, "opening a channel")
    }

    /// Runs calls on a channel of their own, so that a refusal hurts nobody else.
    func withCallChannel<Result>(_ body: (UInt16) throws(AMQPError) -> Result) throws(AMQPError) -> Result {
        try self.open(Self.callChannel)
        // A refusal has closed the channel already.
        let result = try body(Self.callChannel)
        let reply = amqp_channel_close(self.connection, Self.callChannel, AMQP_REPLY_SUCCESS)
        try self.check(reply, channel: Self.callChannel, "closing a channel")
        amqp_maybe_release_buffers(self.connection)
        return result
    }

    func makeChannel() -> ChannelReference {
        // Numbers are not reused within a connection's life before all others were: a late frame must not be
        // mistaken for one of the channel's next life.
        repeat {
            self.nextChannel = self.nextChannel >= 2000 ? 11 : self.nextChannel + 1
        } while self.subscriptions[self.nextChannel] != nil
        return ChannelReference(number: self.nextChannel, inbox: self.inbox)
    }

    /// Ends the connection in order, within a bound.
    func close() {
        var limit = timeval(tv_sec: 2, tv_usec: 0)
        amqp_set_rpc_timeout(self.connection, &limit)
        _ = amqp_connection_close(self.connection, AMQP_REPLY_SUCCESS)
    }

    /// The connection is gone: settles what waits for it.
    func abandon(_ error: AMQPError) {
        self.window.failAll(error)
        for subscription in self.subscriptions.values { subscription.channel.invalidate() }
        self.subscriptions.removeAll()
        self.getChannel?.invalidate()
        self.pendingGet.take()?(.failure(error))
    }
}

/// What a session tells its connection.
enum SessionNews: Sendable {
    case blocked(String)
    case unblocked
    case delivered(Int)
    case consumerLost(String)
}
