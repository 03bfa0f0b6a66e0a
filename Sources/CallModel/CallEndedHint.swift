// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// The Recorder's hint to a Dialer that a call's row is final (`call-ended.v1`). Losing one only delays an ack.
public struct CallEndedHint: Sendable, Codable, Equatable {
    /// The message type and version, as in the AMQP `type` property.
    public static let messageType = "call-ended.v1"

    /// The call that has ended.
    public var callID: UUID

    /// Creates a hint.
    public init(callID: UUID) {
        self.callID = callID
    }

    enum CodingKeys: String, CodingKey {
        case callID = "call_id"
    }
}
