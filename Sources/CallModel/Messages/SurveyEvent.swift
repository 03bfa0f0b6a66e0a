// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// The end of a contact's story, for whoever comes next (`survey-event.v1`).
public struct SurveyEvent: FlatMessage, Equatable {
    /// The message type and version, as in the AMQP `type` property.
    public static let messageType = "survey-event.v1"

    /// How the story ended; also the routing key `survey.<kind>`.
    public enum Kind: String, Sendable, Codable, CaseIterable {
        /// The contact was reached and the call completed.
        case completed
        /// The contact declined.
        case refused
        /// All attempts were used up.
        case notReached = "not_reached"

        /// The routing key in the `survey.events` exchange.
        public var routingKey: String { "survey." + self.rawValue }
    }

    /// The event's id: the same however often it is published.
    public var eventID: UUID
    /// How the story ended.
    public var kind: Kind
    /// The call that ended it.
    public var callID: UUID
    /// The contact.
    public var contactID: UUID
    /// The contact's campaign.
    public var campaignID: UUID
    /// The contact's id in the system that it was imported from.
    public var externalContactID: String?
    /// How many attempts were counted.
    public var attempts: Int
    /// When the call that ended the story ended.
    public var occurredAt: Date

    /// Creates an event.
    public init(
        eventID: UUID,
        kind: Kind,
        callID: UUID,
        contactID: UUID,
        campaignID: UUID,
        externalContactID: String?,
        attempts: Int,
        occurredAt: Date
    ) {
        self.eventID = eventID
        self.kind = kind
        self.callID = callID
        self.contactID = contactID
        self.campaignID = campaignID
        self.externalContactID = externalContactID
        self.attempts = attempts
        self.occurredAt = occurredAt
    }

    enum CodingKeys: String, CodingKey {
        case eventID = "event_id"
        case kind
        case callID = "call_id"
        case contactID = "contact_id"
        case campaignID = "campaign_id"
        case externalContactID = "external_contact_id"
        case attempts
        case occurredAt = "occurred_at"
    }
}

extension SurveyEvent {
    /// Writes the fields.
    public func write(to writer: inout FlatJSONWriter) {
        writer.write("attempts", self.attempts)
        writer.write("call_id", self.callID)
        writer.write("campaign_id", self.campaignID)
        writer.write("contact_id", self.contactID)
        writer.write("event_id", self.eventID)
        if let externalContactID { writer.write("external_contact_id", externalContactID) }
        writer.write("kind", self.kind.rawValue)
        writer.write("occurred_at", self.occurredAt)
    }

    /// Leaves it to `JSONDecoder`: the product itself reads none.
    public static func read(from reader: inout FlatJSONReader) -> SurveyEvent? { nil }
}
