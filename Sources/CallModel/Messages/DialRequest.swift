// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// The Selector's wish that a Dialer place one call (`dial-request.v1`).
///
/// It carries ids only; the Dialer reads the number from Postgres together with its check that the claim still holds.
public struct DialRequest: FlatMessage, Equatable {
    /// The message type and version, as in the AMQP `type` property.
    public static let messageType = "dial-request.v1"

    /// The id of the claim, the attempt and the call.
    public var callID: UUID
    /// The claimed contact.
    public var contactID: UUID
    /// The contact's campaign.
    public var campaignID: UUID
    /// Which attempt this will be, from 1.
    public var attemptNumber: Int
    /// When the contact was claimed, by the database's clock.
    public var claimedAt: Date
    /// After this instant the request must be dropped: the end of the lease or of the calling window.
    public var expiresAt: Date
    /// Since when the contact was due; absent in requests of earlier versions, and where a call is offered again.
    public var dueAt: Date?

    /// Creates a request.
    public init(
        callID: UUID,
        contactID: UUID,
        campaignID: UUID,
        attemptNumber: Int,
        claimedAt: Date,
        expiresAt: Date,
        dueAt: Date? = nil
    ) {
        self.callID = callID
        self.contactID = contactID
        self.campaignID = campaignID
        self.attemptNumber = attemptNumber
        self.claimedAt = claimedAt
        self.expiresAt = expiresAt
        self.dueAt = dueAt
    }

    enum CodingKeys: String, CodingKey {
        case callID = "call_id"
        case contactID = "contact_id"
        case campaignID = "campaign_id"
        case attemptNumber = "attempt_number"
        case claimedAt = "claimed_at"
        case expiresAt = "expires_at"
        case dueAt = "due_at"
    }
}

extension DialRequest {
    /// Writes the fields.
    public func write(to writer: inout FlatJSONWriter) {
        writer.write("attempt_number", self.attemptNumber)
        writer.write("call_id", self.callID)
        writer.write("campaign_id", self.campaignID)
        writer.write("claimed_at", self.claimedAt)
        writer.write("contact_id", self.contactID)
        if let dueAt { writer.write("due_at", dueAt) }
        writer.write("expires_at", self.expiresAt)
    }

    /// Reads the fields.
    public static func read(from reader: inout FlatJSONReader) -> DialRequest? {
        var ids: (call: UUID?, contact: UUID?, campaign: UUID?)
        var dates: (claimed: Date?, expires: Date?, due: Date?)
        var attemptNumber: Int?
        while let field = reader.next() {
            let isRead =
                if field.isNamed("call_id") {
                    field.uuid.fill(&ids.call)
                } else if field.isNamed("contact_id") {
                    field.uuid.fill(&ids.contact)
                } else if field.isNamed("campaign_id") {
                    field.uuid.fill(&ids.campaign)
                } else if field.isNamed("attempt_number") {
                    field.int.fill(&attemptNumber)
                } else if field.isNamed("claimed_at") {
                    field.date.fill(&dates.claimed)
                } else if field.isNamed("expires_at") {
                    field.date.fill(&dates.expires)
                } else if field.isNamed("due_at") {
                    field.date.fill(&dates.due)
                } else {
                    true
                }
            guard isRead else { return nil }
        }
        guard let callID = ids.call, let contactID = ids.contact, let campaignID = ids.campaign, let attemptNumber,
            let claimedAt = dates.claimed, let expiresAt = dates.expires
        else { return nil }
        return DialRequest(
            callID: callID,
            contactID: contactID,
            campaignID: campaignID,
            attemptNumber: attemptNumber,
            claimedAt: claimedAt,
            expiresAt: expiresAt,
            dueAt: dates.due
        )
    }
}
