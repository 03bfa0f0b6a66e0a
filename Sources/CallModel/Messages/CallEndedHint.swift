// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// The Recorder's hint to a Dialer that calls' rows are final (`call-ended.v1`). Losing one only delays acks.
public struct CallEndedHint: FlatMessage, Equatable {
    /// The message type and version, as in the AMQP `type` property.
    public static let messageType = "call-ended.v1"
    /// Calls in one hint at most, which keeps it below ``MessageCoding/maximumBodySize``.
    public static let maximumCalls = 300

    /// The first call that has ended; the only one that dialers before version 14 of the schema read.
    public var callID: UUID
    /// All calls that have ended, the first among them; absent from recorders before.
    public var callIDs: [UUID]?

    /// Creates a hint.
    /// - Parameter callIDs: The calls, 1 to ``maximumCalls``.
    public init?(callIDs: [UUID]) {
        guard let first = callIDs.first else { return nil }
        self.callID = first
        self.callIDs = callIDs
    }

    /// Every call that it names.
    public var allCalls: [UUID] { self.callIDs ?? [self.callID] }

    enum CodingKeys: String, CodingKey {
        case callID = "call_id"
        case callIDs = "call_ids"
    }
}

extension CallEndedHint {
    /// Writes the fields.
    public func write(to writer: inout FlatJSONWriter) {
        writer.write("call_id", self.callID)
        if let callIDs { writer.write("call_ids", callIDs) }
    }

    /// Reads the fields.
    public static func read(from reader: inout FlatJSONReader) -> CallEndedHint? {
        var callID: UUID?
        var callIDs: [UUID]?
        while let field = reader.next() {
            let isRead =
                if field.isNamed("call_id") {
                    field.uuid.fill(&callID)
                } else if field.isNamed("call_ids") {
                    field.uuids.fill(&callIDs)
                } else {
                    true
                }
            guard isRead else { return nil }
        }
        guard let callID else { return nil }
        guard var hint = CallEndedHint(callIDs: [callID]) else { return nil }
        hint.callIDs = callIDs
        return hint
    }
}
