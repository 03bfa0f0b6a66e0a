// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Errors that mean that the number cannot be reached now or ever, so that trying again would only annoy somebody.
///
/// Sources: SIP response codes of RFC 3261, sections 21.4.5, 21.4.11, 21.4.21 and 21.6.3; the provider codes of the
/// Twilio-compatible API for an invalid, unreachable, premium or forbidden destination.
public enum PermanentFailure {
    /// The codes.
    public static let codes: Set<String> = [
        "sip_404", "sip_410", "sip_484", "sip_604", "21211", "21214", "21217", "21202", "13225",
    ]

    /// Whether an attempt that failed with this code must not be repeated.
    /// - Parameter errorCode: As in a ``CallEvent``.
    /// - Returns: True when the number itself is at fault.
    public static func matches(errorCode: String?) -> Bool {
        errorCode.map(Self.codes.contains) ?? false
    }
}
