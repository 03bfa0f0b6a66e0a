// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What AMQP can carry. The library and the broker end the whole connection over what it cannot, for everybody on it; so it
/// is refused at the door.
enum AMQPNames {
    /// Bytes of a name, a routing key or a property (AMQP 0-9-1, section 4.2.5.3, short strings).
    static let longest = 255
    /// Bytes of a message: RabbitMQ's own limit since version 4; its older versions take more.
    static let largestMessage = 16 << 20
    /// Bytes of all properties of a message together, or of arguments: they share a frame with a little more, whose size
    /// is agreed on with the broker; 4096 is the least that it may be, 131,072 is RabbitMQ's.
    static let largestTable = 64 << 10
    /// Tables in tables; writing them takes the stack.
    static let deepest = 32
    /// Milliseconds that a message may wait: what the broker's timers can count.
    static let longestExpiration: Int64 = 4_294_967_295

    private static func refuse(_ what: String, _ why: String) -> AMQPError {
        AMQPError(code: .invalidArgument, message: "the \(what) cannot be sent: \(why)")
    }

    static func fault(of name: String?, _ what: String) -> AMQPError? {
        guard let name, name.utf8.count > Self.longest else { return nil }
        return Self.refuse(what, "\(name.utf8.count) bytes are more than \(Self.longest)")
    }

    static func fault(of table: AMQPTable, _ what: String) -> AMQPError? {
        var size = 0
        if let fault = Self.measure(table, what, depth: 0, &size) { return fault }
        return size > Self.largestTable
            ? Self.refuse("\(what)s", "\(size) bytes are more than \(Self.largestTable)") : nil
    }

    static func fault(of publication: AMQPPublication) -> AMQPError? {
        let message = publication.message
        let names: [(String?, String)] = [
            (publication.exchange, "exchange"), (publication.routingKey, "routing key"),
            (message.contentType, "content type"), (message.type, "type"), (message.messageID, "message id"),
            (message.correlationID, "correlation id"), (message.appID, "application id"),
        ]
        for (name, what) in names {
            if let fault = Self.fault(of: name, what) { return fault }
        }
        guard message.body.count <= Self.largestMessage else {
            return Self.refuse("body", "\(message.body.count) bytes are more than \(Self.largestMessage)")
        }
        if let expiration = message.expiration {
            guard 0...Self.longestExpiration ~= expiration.wholeMilliseconds else {
                return Self.refuse("expiration", "it is not in 0…\(Self.longestExpiration) ms")
            }
        }
        // RabbitMQ takes further routing keys from these, and closes the channel over anything else in them.
        for key in ["CC", "BCC"] {
            guard let value = message.headers[key] else { continue }
            guard case .array(let keys) = value, keys.allSatisfy({ if case .string = $0 { true } else { false } })
            else {
                return Self.refuse("header \(key)", "it is not an array of strings")
            }
        }
        return Self.fault(of: message.headers, "header")
    }

    private static func measure(_ table: AMQPTable, _ what: String, depth: Int, _ size: inout Int) -> AMQPError? {
        size += 4
        for (key, value) in table {
            if let fault = Self.fault(of: key, "\(what)'s name") { return fault }
            size += 1 + key.utf8.count
            if let fault = Self.measure(value, what, depth: depth, &size) { return fault }
        }
        return nil
    }

    private static func measure(_ value: AMQPValue, _ what: String, depth: Int, _ size: inout Int) -> AMQPError? {
        guard depth < Self.deepest else { return Self.refuse(what, "it is nested more than \(Self.deepest) deep") }
        size += 9
        switch value {
        case .string(let text): size += text.utf8.count
        case .bytes(let bytes): size += bytes.count
        case .array(let values):
            for value in values {
                if let fault = Self.measure(value, what, depth: depth + 1, &size) { return fault }
            }
        case .table(let table): return Self.measure(table, what, depth: depth + 1, &size)
        case .bool, .int8, .uint8, .int16, .uint16, .int32, .uint32, .int64, .float, .double, .decimal, .timestamp,
            .null:
            break
        }
        return nil
    }
}
