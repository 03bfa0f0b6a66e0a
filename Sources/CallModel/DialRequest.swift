// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation

/// The Selector's wish that a Dialer place one call (`dial-request.v1`).
///
/// It carries ids only; the Dialer reads the number from Postgres together with its check that the claim still holds.
public struct DialRequest: Sendable, Codable, Equatable {
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
