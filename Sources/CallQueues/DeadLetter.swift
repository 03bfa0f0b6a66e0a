// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import AMQP
import CallModel
public import Foundation

/// A message that was not handled, as it lies in `dial.dead` or `dial.unplaced`.
public struct DeadLetter: Sendable {
    /// What kind of fault put it there.
    public enum Kind: String, Sendable, CaseIterable, Codable {
        /// Nobody could read it.
        case unreadable
        /// The database refuses its values.
        case refused
        /// A request whose call the provider did not take. Nothing is wrong with it, and its contact went back.
        case notPlaced = "not_placed"
        /// It could be read; the broker put it aside: handed out too often, too old, or one too many.
        case droppedByBroker = "dropped_by_broker"
    }

    /// Tells it from the others; copies of one message share it.
    public let id: String
    /// What kind of fault it was.
    public let kind: Kind
    /// Why it is here, without values from the message.
    public let reason: String
    /// The call that it is about, when that can be told.
    public let callID: UUID?
    /// The `type` property.
    public let messageType: String?
    /// The `message-id` property.
    public let messageID: String?
    /// The queue that it was in.
    public let queue: String?
    /// The exchange that it was published to, where it would be sent again; nil when nobody knows.
    public let exchange: String?
    /// The routing key that it was published with.
    public let routingKey: String
    /// When it came here, or else when it was made.
    public let since: Date?
    /// The body as it is.
    public let body: [UInt8]

    /// Reads one as the broker hands it out.
    public init(_ delivery: AMQPDelivery) {
        let message = delivery.message
        let death = Self.lastDeath(message.headers)
        let queue = Self.text(message.headers["x-first-death-queue"]) ?? Self.text(message.headers[Self.queueHeader])
        self.queue = queue
        self.exchange =
            Self.text(message.headers[Self.exchangeHeader]) ?? Self.text(message.headers["x-first-death-exchange"])
        self.routingKey = Self.text(message.headers[Self.routingKeyHeader]) ?? delivery.routingKey
        self.messageType = message.type
        self.messageID = message.messageID
        self.body = message.body
        self.since = Self.date(message.headers[Self.sinceHeader]) ?? Self.date(death["time"]) ?? message.timestamp
        self.id = Self.digest([
            Array((message.type ?? "").utf8), Array((message.messageID ?? "").utf8), Array((queue ?? "").utf8),
            message.body,
        ])
        let content = Self.content(message, isRequest: queue?.hasPrefix(CallTopology.dialQueue(trunk: "")) == true)
        let said = Self.text(message.headers[Self.reasonHeader])
        switch content {
        case .failure(let fault):
            self.callID = nil
            self.kind = .unreadable
            self.reason = said ?? fault.reason
        case .success(let callID):
            self.callID = callID
            let why = Self.text(message.headers["x-first-death-reason"]) ?? Self.text(death["reason"]) ?? "rejected"
            if Self.text(message.headers[Self.kindHeader]) == Kind.notPlaced.rawValue {
                self.kind = .notPlaced
                self.reason = Self.notPlacedReason
            } else if let said {
                self.kind = .refused
                self.reason = said
            } else if why != "rejected" {
                self.kind = .droppedByBroker
                self.reason = "the broker put it aside: \(why)"
            } else if message.type == DialRequest.messageType {
                self.kind = .notPlaced
                self.reason = Self.notPlacedReason
            } else {
                self.kind = .refused
                self.reason = "it was refused, and the reason could not be kept"
            }
        }
    }

    /// A message that is put aside with the reason, ready to be published: the broker by itself would keep none.
    /// - Parameters:
    ///   - delivery: The message.
    ///   - queue: Where it came from.
    ///   - reason: Why; must not hold values from the message.
    /// - Returns: A copy for `dial.dead`; the original is to be acked once that is confirmed.
    public static func publication(of delivery: AMQPDelivery, from queue: String, reason: String) -> AMQPPublication {
        var message = delivery.message
        message.expiration = nil
        message.isPersistent = true
        message.headers[Self.reasonHeader] = .string(reason)
        message.headers[Self.queueHeader] = .string(queue)
        message.headers[Self.exchangeHeader] = .string(delivery.exchange)
        message.headers[Self.routingKeyHeader] = .string(delivery.routingKey)
        message.headers[Self.sinceHeader] = .timestamp(Date())
        return AMQPPublication(message: message, exchange: CallTopology.dead, routingKey: delivery.routingKey)
    }

    /// A request whose call the provider did not take, ready to be published.
    /// - Parameters:
    ///   - delivery: The request.
    ///   - trunk: Whose queue it came from.
    ///   - lifetime: After this time it goes by itself.
    /// - Returns: A copy for `dial.unplaced`; the original is to be acked once that is confirmed.
    public static func unplaced(_ delivery: AMQPDelivery, trunk: String, lifetime: Duration) -> AMQPPublication {
        var publication = Self.publication(
            of: delivery,
            from: CallTopology.dialQueue(trunk: trunk),
            reason: Self.notPlacedReason
        )
        publication.message.headers[Self.kindHeader] = .string(Kind.notPlaced.rawValue)
        publication.message.expiration = lifetime
        publication.exchange = CallTopology.unplaced
        return publication
    }

    private static let notPlacedReason = "the provider did not take the call"

    /// The message as it was before it died, ready to be sent to where it was sent first; nil when nobody knows where.
    public static func revival(of delivery: AMQPDelivery) -> AMQPPublication? {
        let letter = DeadLetter(delivery)
        guard let exchange = letter.exchange else { return nil }
        var message = delivery.message
        message.expiration = nil
        for header in message.headers.keys where Self.isOfDeath(header) { message.headers[header] = nil }
        return AMQPPublication(message: message, exchange: exchange, routingKey: letter.routingKey)
    }

    private static let kindHeader = "call-scheduler-kind"
    private static let reasonHeader = "call-scheduler-reason"
    private static let queueHeader = "call-scheduler-queue"
    private static let exchangeHeader = "call-scheduler-exchange"
    private static let routingKeyHeader = "call-scheduler-routing-key"
    private static let sinceHeader = "call-scheduler-since"

    private static func isOfDeath(_ header: String) -> Bool {
        [
            Self.kindHeader, Self.reasonHeader, Self.queueHeader, Self.exchangeHeader, Self.routingKeyHeader,
            Self.sinceHeader,
        ].contains(header)
            || ["x-death", "x-first-death-", "x-last-death-", "x-delivery-count"].contains { header.hasPrefix($0) }
    }

    /// The call that a readable message is about.
    private static func content(_ message: AMQPMessage, isRequest: Bool) -> Result<UUID, MessageFault> {
        func decode<Message: FlatMessage>(_ type: Message.Type, _ name: String) throws(MessageFault) -> Message {
            try MessageCoding.decode(type, from: message.body, messageType: message.type, expectedType: name)
        }
        do throws(MessageFault) {
            if isRequest { return .success(try decode(DialRequest.self, DialRequest.messageType).callID) }
            return switch message.type {
            case DialRequest.messageType: .success(try decode(DialRequest.self, DialRequest.messageType).callID)
            case SurveyOutcomeReport.messageType:
                .success(try decode(SurveyOutcomeReport.self, SurveyOutcomeReport.messageType).callID)
            default: .success(try decode(CallEvent.self, CallEvent.messageType).callID)
            }
        } catch {
            return .failure(error)
        }
    }

    /// The newest entry of RabbitMQ's own account.
    private static func lastDeath(_ headers: AMQPTable) -> AMQPTable {
        if case .array(let deaths)? = headers["x-death"], case .table(let death)? = deaths.first { death } else { [:] }
    }

    private static func text(_ value: AMQPValue?) -> String? {
        if case .string(let text)? = value { text } else { nil }
    }

    private static func date(_ value: AMQPValue?) -> Date? {
        if case .timestamp(let date)? = value { date } else { nil }
    }

    /// FNV-1a, 64 bits: to name a message, not to prove anything. Each part is followed by its length.
    private static func digest(_ parts: [[UInt8]]) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for part in parts {
            for byte in part + Array("\(part.count)".utf8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        }
        let text = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
}
