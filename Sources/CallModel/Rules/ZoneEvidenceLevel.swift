// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What suffices to tell where a contact without a zone of its own is, from the strongest to the weakest.
public enum ZoneEvidenceLevel: String, Sendable, Codable, CaseIterable, Comparable {
    /// The window must be open in the whole country.
    case country
    /// The number's prefix suffices.
    case areaCode = "area-code"
    /// A postal code suffices as well.
    case postalCode = "postal-code"

    /// Whether the left side is stronger.
    public static func < (left: Self, right: Self) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .country: 0
        case .areaCode: 1
        case .postalCode: 2
        }
    }

    /// The next weaker; nil after the weakest.
    public var weaker: Self? {
        switch self {
        case .country: .areaCode
        case .areaCode: .postalCode
        case .postalCode: nil
        }
    }
}
