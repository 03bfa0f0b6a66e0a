// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import CallStore
public import Foundation

/// Campaigns and contacts to test with.
public enum Fixtures {
    /// A number reserved for fiction.
    public static func number(_ index: Int) throws -> PhoneNumber {
        let digits = String(index)
        return try PhoneNumber("+1999" + String(repeating: "0", count: 7 - digits.count) + digits)
    }

    /// Stores and starts a campaign with contacts.
    /// - Parameters:
    ///   - store: Where.
    ///   - name: Its name.
    ///   - contacts: How many contacts.
    ///   - first: The first contact's number.
    ///   - timeZone: The contacts' zone; nil for the campaign's.
    ///   - change: Changes the settings.
    /// - Returns: The campaign's id.
    /// - Throws: What the store throws.
    public static func runningCampaign(
        in store: CallStore,
        name: String = "test",
        contacts: Int,
        first: Int = 0,
        timeZone: String? = nil,
        _ change: (inout CampaignSettings) -> Void = { _ in }
    ) async throws -> UUID {
        var settings = CampaignSettings(name: name, timeZone: "UTC")
        settings.window = nil
        settings.callerID = try PhoneNumber("+15005550006")
        settings.answerURL = "http://127.0.0.1:9/answer"
        settings.ringTimeoutSeconds = 5
        settings.maximumCallSeconds = 10
        change(&settings)
        let id = try await store.createCampaign(settings)
        let rows = try (first..<(first + contacts)).map { index in
            CallStore.NewContact(
                externalID: "x\(index)",
                phoneNumber: try Self.number(index),
                email: nil,
                language: nil,
                hasPriorConsent: true,
                doNotCall: false,
                timeZone: timeZone
            )
        }
        _ = try await store.addContacts(rows, campaign: id)
        try await store.perform(.start, onCampaign: name, reason: nil, actor: "test")
        return id
    }
}
