// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Logging

/// The keys that log metadata may have, so that one thing has one name everywhere.
///
/// No key exists for a phone number, a name, an e-mail address or a secret.
public enum LogKey: String, Sendable {
    /// The id of a claim, an attempt and a call.
    case callID = "call_id"
    /// A campaign's id.
    case campaign = "campaign_id"
    /// What people call a campaign.
    case campaignName = "campaign"
    /// A contact's id.
    case contactID = "contact_id"
    /// The number of the attempt.
    case attempt
    /// A trunk.
    case trunk
    /// A dialer's id.
    case dialerID = "dialer_id"
    /// A queue.
    case queue
    /// Why something was done or refused.
    case reason
    /// How many.
    case count
    /// An error, in its safe form.
    case error
    /// An outcome.
    case outcome
    /// A provider's id of a call.
    case providerCallID = "provider_call_id"
    /// Seconds or a time.
    case duration
}

extension Logger {
    /// Sets metadata by key.
    public subscript(key: LogKey) -> String? {
        get { self[metadataKey: key.rawValue].map { "\($0)" } }
        set { self[metadataKey: key.rawValue] = newValue.map { "\($0)" } }
    }
}

extension Dictionary where Key == String, Value == Logger.MetadataValue {
    /// Metadata from typed keys.
    /// - Parameter pairs: Keys and values.
    /// - Returns: The metadata.
    public static func keys(_ pairs: KeyValuePairs<LogKey, any CustomStringConvertible & Sendable>) -> Logger.Metadata {
        var metadata = Logger.Metadata()
        for (key, value) in pairs { metadata[key.rawValue] = .stringConvertible(value) }
        return metadata
    }
}
