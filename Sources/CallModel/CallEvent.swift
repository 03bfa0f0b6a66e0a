// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// One report about one call, as it travels from Webhooks or a Dialer to the Recorder (`call-event.v1`).
public struct CallEvent: Sendable, Codable, Equatable {
    /// The message type and version, as in the AMQP `type` property.
    public static let messageType = "call-event.v1"

    /// The event's own id; the same when a report is repeated by the same sender.
    public var eventID: UUID
    /// The call that the report is about.
    public var callID: UUID
    /// The provider's id of the call, when known.
    public var providerCallID: String?
    /// What happened.
    public var status: CallStatus
    /// The provider's sequence number, from 0, when it gives one.
    public var sequence: Int?
    /// When it happened by the provider's clock, or when we heard of it.
    public var occurredAt: Date
    /// The result of machine detection, when it ran.
    public var answeredBy: AnsweredBy?
    /// The provider's or SIP error code, e.g. `sip_486` or `21211`, or `lost`.
    public var errorCode: String?
    /// The provider's own word for the status.
    public var rawStatus: String?

    /// Creates an event.
    public init(
        eventID: UUID = CallID.make(),
        callID: UUID,
        providerCallID: String? = nil,
        status: CallStatus,
        sequence: Int? = nil,
        occurredAt: Date,
        answeredBy: AnsweredBy? = nil,
        errorCode: String? = nil,
        rawStatus: String? = nil
    ) {
        self.eventID = eventID
        self.callID = callID
        self.providerCallID = providerCallID
        self.status = status
        self.sequence = sequence
        self.occurredAt = occurredAt
        self.answeredBy = answeredBy
        self.errorCode = errorCode
        self.rawStatus = rawStatus
    }

    enum CodingKeys: String, CodingKey {
        case eventID = "event_id"
        case callID = "call_id"
        case providerCallID = "provider_call_id"
        case status
        case sequence
        case occurredAt = "occurred_at"
        case answeredBy = "answered_by"
        case errorCode = "error_code"
        case rawStatus = "raw_status"
    }
}
