// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// What is known of consent that was given: when, where, and what proves it.
public struct ConsentRecord: Sendable, Equatable {
    /// When it was given, ISO 8601 with an offset; a day begins in UTC.
    public let givenAt: String?
    /// Where it was given, such as `web form 2026`.
    public let source: String?
    /// Where its proof is kept.
    public let proof: String?

    /// Reads a record.
    /// - Parameters:
    ///   - givenAt: A day such as `2026-03-04`, or a time with an offset; without one it is UTC.
    ///   - source: Up to 200 characters.
    ///   - proof: Up to 200 characters.
    /// - Throws: ``RowFault`` that names the field.
    public init(givenAt: String? = nil, source: String? = nil, proof: String? = nil) throws(RowFault) {
        self.givenAt = try givenAt.map { text throws(RowFault) in try Self.time(text) }
        for (field, text) in [("consent_source", source), ("consent_proof", proof)] where text?.count ?? 0 > 200 {
            throw RowFault(reason: "\(field) is longer than 200 characters")
        }
        self.source = source
        self.proof = proof
    }

    private static func time(_ text: String) throws(RowFault) -> String {
        if text.utf8.count == 10, let day = BlockedDates.date(text) { return "\(day)T00:00:00Z" }
        guard let time = AppointmentTime(text) else {
            throw RowFault(reason: "consent_at is neither a day like 2026-03-04 nor a time like 2026-03-04T18:30+01:00")
        }
        return time.isLocal ? time.text + "Z" : time.text
    }
}
