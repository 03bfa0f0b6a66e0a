// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Turns messages into JSON bodies and back.
public enum MessageCoding {
    /// Bodies above this size are not ours: the largest message of the product is a tenth of it.
    public static let maximumBodySize = 16 * 1024

    /// Encodes a message.
    /// - Parameter message: The message.
    /// - Returns: UTF-8 JSON; dates are ISO 8601 in UTC with milliseconds.
    public static func encode(_ message: some FlatMessage) -> [UInt8] {
        var writer = FlatJSONWriter()
        message.write(to: &writer)
        return writer.finish()
    }

    /// Decodes a message.
    /// - Parameters:
    ///   - type: What is expected.
    ///   - body: The message body.
    ///   - messageType: The AMQP `type` property as received.
    ///   - expectedType: The AMQP `type` property that this message must carry.
    /// - Returns: The message; unknown fields are ignored.
    /// - Throws: ``MessageFault`` that says what is wrong, without the offending value.
    public static func decode<Message: FlatMessage>(
        _ type: Message.Type,
        from body: [UInt8],
        messageType: String?,
        expectedType: String
    ) throws(MessageFault) -> Message {
        try Self.check(body, messageType: messageType, expectedType: expectedType)
        if let message = Self.readQuickly(type, from: body) { return message }
        return try Self.decode(type, from: body)
    }

    private static func check(
        _ body: [UInt8],
        messageType: String?,
        expectedType: String
    ) throws(MessageFault) {
        guard let messageType else { throw MessageFault(reason: "no message type, expected \(expectedType)") }
        guard messageType == expectedType else {
            throw MessageFault(reason: "message type is not \(expectedType)")
        }
        guard body.count <= Self.maximumBodySize else {
            throw MessageFault(reason: "body of \(body.count) bytes is larger than \(Self.maximumBodySize)")
        }
    }

    /// Decodes any JSON.
    /// - Parameters:
    ///   - type: What is expected.
    ///   - body: UTF-8 JSON.
    /// - Returns: The value; unknown fields are ignored.
    /// - Throws: ``MessageFault`` that says what is wrong, without the offending value.
    public static func decode<Message: Decodable>(
        _ type: Message.Type,
        from body: [UInt8]
    ) throws(MessageFault) -> Message {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            let text = try container.decode(String.self)
            if let date = try? Date(text, strategy: Self.dateStyle) { return date }
            if let date = try? Date(text, strategy: .iso8601) { return date }
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an ISO 8601 date")
        }
        do {
            return try decoder.decode(type, from: Data(body))
        } catch let error as DecodingError {
            throw MessageFault(decodingError: error)
        } catch {
            throw MessageFault(reason: "body cannot be read")
        }
    }

    private static func readQuickly<Message: FlatMessage>(_ type: Message.Type, from body: [UInt8]) -> Message? {
        body.withUnsafeBytes { bytes in
            var reader = FlatJSONReader(bytes)
            guard let message = type.read(from: &reader), reader.isAtEnd else { return nil }
            return message
        }
    }

    private static let dateStyle = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
}

/// Why a message is poison.
public struct MessageFault: Error, Sendable, CustomStringConvertible {
    /// The reason; names the field, never its value.
    public let reason: String

    /// Creates a fault.
    /// - Parameter reason: The reason; must not hold values from the message.
    public init(reason: String) {
        self.reason = reason
    }

    init(decodingError: DecodingError) {
        func path(_ context: DecodingError.Context) -> String {
            context.codingPath.map(\.stringValue).joined(separator: ".")
        }
        switch decodingError {
        case .keyNotFound(let key, _): self.reason = "field \(key.stringValue) is missing"
        case .typeMismatch(_, let context): self.reason = "field \(path(context)) has the wrong type"
        case .valueNotFound(_, let context): self.reason = "field \(path(context)) is null"
        case .dataCorrupted(let context):
            let field = path(context)
            self.reason = field.isEmpty ? "body is not JSON" : "field \(field) has a value that is not allowed"
        @unknown default: self.reason = "body cannot be read"
        }
    }

    /// The reason.
    public var description: String { self.reason }
}
