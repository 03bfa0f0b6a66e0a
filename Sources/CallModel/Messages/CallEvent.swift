// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// One report about one call, as it travels from Webhooks or a Dialer to the Recorder (`call-event.v1`).
public struct CallEvent: FlatMessage, Equatable {
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

extension CallEvent {
    /// Writes the fields.
    public func write(to writer: inout FlatJSONWriter) {
        if let answeredBy { writer.write("answered_by", answeredBy.rawValue) }
        writer.write("call_id", self.callID)
        if let errorCode { writer.write("error_code", errorCode) }
        writer.write("event_id", self.eventID)
        writer.write("occurred_at", self.occurredAt)
        if let providerCallID { writer.write("provider_call_id", providerCallID) }
        if let rawStatus { writer.write("raw_status", rawStatus) }
        if let sequence { writer.write("sequence", sequence) }
        writer.write("status", self.status.rawValue)
    }

    /// Reads the fields.
    public static func read(from reader: inout FlatJSONReader) -> CallEvent? {
        var ids: (event: UUID?, call: UUID?)
        var texts: (provider: String?, error: String?, raw: String?)
        var status: CallStatus?
        var answeredBy: AnsweredBy?
        var sequence: Int?
        var occurredAt: Date?
        while let field = reader.next() {
            let isRead =
                if field.isNamed("event_id") {
                    field.uuid.fill(&ids.event)
                } else if field.isNamed("call_id") {
                    field.uuid.fill(&ids.call)
                } else if field.isNamed("provider_call_id") {
                    field.text.fill(&texts.provider)
                } else if field.isNamed("status") {
                    field.text.flatMap(CallStatus.init(rawValue:)).fill(&status)
                } else if field.isNamed("sequence") {
                    field.int.fill(&sequence)
                } else if field.isNamed("occurred_at") {
                    field.date.fill(&occurredAt)
                } else if field.isNamed("answered_by") {
                    field.text.flatMap(AnsweredBy.init(rawValue:)).fill(&answeredBy)
                } else if field.isNamed("error_code") {
                    field.text.fill(&texts.error)
                } else if field.isNamed("raw_status") {
                    field.text.fill(&texts.raw)
                } else {
                    true
                }
            guard isRead else { return nil }
        }
        guard let eventID = ids.event, let callID = ids.call, let status, let occurredAt else { return nil }
        return CallEvent(
            eventID: eventID,
            callID: callID,
            providerCallID: texts.provider,
            status: status,
            sequence: sequence,
            occurredAt: occurredAt,
            answeredBy: answeredBy,
            errorCode: texts.error,
            rawStatus: texts.raw
        )
    }
}
