// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
import Crypto
public import Foundation
import Postgres

/// Numbers of persons who were forgotten, recognised without being stored.
///
/// HMAC-SHA-256 (RFC 2104) of the E.164 number under a key that the database does not hold: without the key nobody can
/// tell by trying all numbers whose digest is stored.
public struct SuppressionKey: Sendable, Equatable {
    private let key: SymmetricKey

    /// Creates a key.
    /// - Parameter secret: At least 16 bytes, the same for ever.
    public init(secret: String) {
        self.key = SymmetricKey(data: Data(secret.utf8))
    }

    /// The digest of a number, 64 hex digits.
    func digest(_ number: PhoneNumber) -> String {
        HMAC<SHA256>.authenticationCode(for: Data(number.e164.utf8), using: self.key)
            .map { String(UInt16($0) + 0x100, radix: 16).dropFirst() }.joined()
    }
}

/// A list of numbers of persons who were forgotten.
public struct SuppressedNumbers: Sendable, Equatable {
    let key: SuppressionKey?
    let digests: Set<String>

    /// Whether nobody is on it.
    public var isEmpty: Bool { self.digests.isEmpty }

    /// Whether a number is on it; never without the key.
    public func contains(_ number: PhoneNumber) -> Bool {
        guard !self.digests.isEmpty, let key = self.key else { return false }
        return self.digests.contains(key.digest(number))
    }
}

extension CallStore {
    /// What the forgetting of a person removed.
    public struct Erasure: Sendable, Codable, Equatable {
        /// Contacts that have no name, number, e-mail or external id any more.
        public var contacts = 0
        /// Attempts that have neither number nor provider's id any more.
        public var attempts = 0
        /// Entries of exclusion lists that were replaced by the keyed digest.
        public var exclusions = 0
        /// What was on record about consent.
        public var consents = 0

        /// Creates a count of nothing.
        public init() {}
    }

    /// The number of a contact; nil when it was erased.
    /// - Throws: ``StoreError`` when there is no such contact; `PostgresError`.
    public func phoneNumber(ofContact id: UUID) async throws -> PhoneNumber? {
        guard let row = try await self.client.execute(Self.selectNumber, [id]).first else {
            throw StoreError(code: .notFound, message: "there is no contact with the id \(id.lowercased)")
        }
        return try row.decode(String?.self, named: "phone_number").map { try PhoneNumber($0) }
    }

    /// Forgets a person (GDPR, article 17): removes number, e-mail, language and external ids from contacts, attempts,
    /// events and lists in all campaigns. Counts stay, and the number cannot come back by an import, not even by one that
    /// is under way.
    /// - Parameters:
    ///   - number: The person's number.
    ///   - otherForms: Other ways in which the same number may be stored.
    ///   - key: The key of the digest that keeps the number from coming back.
    /// - Returns: What was removed; nothing when the person was forgotten before.
    /// - Throws: ``StoreError`` with code `notFound` when nothing is known of the number: nothing has changed then; with
    ///   code `notAllowed` while a call to the number is open: it is excluded then, and can be erased when the call has
    ///   ended; `PostgresError`.
    public func erase(
        _ number: PhoneNumber,
        otherForms: [PhoneNumber] = [],
        key: SuppressionKey
    ) async throws -> Erasure {
        let numbers = [number] + otherForms
        let texts = Self.texts(numbers)
        let digests = numbers.map(key.digest)
        guard try await self.hasTraces(texts, digests) else {
            throw StoreError(
                code: .notFound,
                message: "no contact, call or list has this number, so nothing was erased: check how it is written; a "
                    + "number that is not here yet is kept out by `exclusions add`"
            )
        }
        // In a transaction of its own: it stands when the number cannot be erased yet, and no call begins from here on.
        let excluded = try await self.addExclusions(numbers, reason: "to be erased", source: "manual")
        return try await self.client.withTransaction { connection in
            try await connection.execute(Self.lockPersons)
            try await connection.execute(Self.suppress, [digests])
            guard try await connection.execute(Self.openCallTo, [texts]).count == 0 else {
                throw StoreError(
                    code: .notAllowed,
                    message: "the number is being called now: it was excluded; erase it when the call has ended"
                )
            }
            var erasure = Erasure()
            let ids = try await connection.execute(Self.eraseContacts, [texts]).map { row in
                try row.decode(UUID.self, named: "id")
            }
            erasure.contacts = ids.count
            erasure.attempts = try await connection.execute(Self.eraseAttempts, [texts]).affectedRows
            try await connection.execute(Self.eraseEvents, [ids])
            try await connection.execute(Self.eraseAppointments, [ids])
            erasure.consents = try await connection.execute(Self.eraseConsents, [texts]).affectedRows
            erasure.exclusions =
                try await connection.execute(Self.eraseExclusions, [texts]).affectedRows - excluded.added
            erasure.exclusions += try await connection.execute(Self.eraseCampaignExclusions, [texts]).affectedRows
            // Last: the lists' own triggers keep there what is taken off.
            try await connection.execute(Self.eraseRemovedExclusions, [texts])
            return erasure
        }
    }

    /// Whether anything is known of a number, or was before it was erased. Waits for imports that may be adding it.
    private func hasTraces(_ texts: [String], _ digests: [String]) async throws -> Bool {
        try await self.client.withTransaction { connection in
            try await connection.execute(Self.lockPersons)
            return try await connection.execute(Self.traces, [texts, digests]).first?.decode(named: "is_there") ?? false
        }
    }

    /// The numbers that must not come back with an import.
    /// - Parameter key: The key of the digests; without it no number can be recognised.
    /// - Returns: The list.
    /// - Throws: `PostgresError`.
    public func suppressedNumbers(key: SuppressionKey?) async throws -> SuppressedNumbers {
        let rows = try await self.client.execute(Self.selectSuppressed)
        return SuppressedNumbers(key: key, digests: Set(try rows.map { try $0.decode(named: "digest") }))
    }

    /// What imports hold together, one portion long, and whoever records what a person wants holds alone: neither can miss
    /// what the other has not committed yet. The first lock of a transaction.
    static let lockPersons = PostgresStatement(
        name: "lock_persons",
        "select pg_advisory_xact_lock(7226451990432)"
    )

    static let lockPersonsForImport = PostgresStatement(
        name: "lock_persons_for_import",
        "select pg_advisory_xact_lock_shared(7226451990432)"
    )

    static let countSuppressed = PostgresStatement(
        name: "count_suppressed",
        "select count(*) as suppressed from suppressed_numbers"
    )

    private static let selectNumber = PostgresStatement(
        name: "select_number",
        "select phone_number from contacts where id = $1"
    )

    private static let suppress = PostgresStatement(
        name: "suppress_number",
        "insert into suppressed_numbers (digest) select decode(d, 'hex') from unnest($1::text[]) as d on conflict do nothing"
    )

    private static let traces = PostgresStatement(
        name: "traces_of_number",
        """
        select exists (
                select
                from campaigns k
                cross join lateral (
                    select from contacts c
                    where c.campaign_id = k.id and c.phone_number = any ($1::text[])
                    offset 0) c)
            or exists (select from call_attempts where phone_number = any ($1::text[]))
            or exists (select from exclusion_list_entries where phone_number = any ($1::text[]))
            or exists (select from campaign_exclusions where phone_number = any ($1::text[]))
            or exists (select from removed_exclusions where phone_number = any ($1::text[]))
            or exists (select from consents where phone_number = any ($1::text[]))
            or exists (
                select from suppressed_numbers
                where digest = any (array(select decode(d, 'hex') from unnest($2::text[]) as d))) as is_there
        """
    )

    static let selectSuppressed = PostgresStatement(
        name: "select_suppressed",
        "select encode(digest, 'hex') as digest from suppressed_numbers"
    )

    private static let openCallTo = PostgresStatement(
        name: "open_call_to",
        "select from call_attempts where phone_number = any ($1::text[]) and ended_at is null"
    )

    private static let eraseContacts = PostgresStatement(
        name: "erase_contacts",
        """
        update contacts c
        set phone_number = null, external_contact_id = null, email = null, preferred_language = null,
            consent_source = null, consent_proof = null,
            state = case when c.state in ('completed', 'refused', 'not_reached') then c.state else 'excluded' end,
            next_attempt_at = null, \(CallStore.noClaim),
            excluded_reason = coalesce(c.excluded_reason, 'erased'), erased_at = now()
        where c.id = any (array(
            select p.id
            from campaigns k
            cross join lateral (
                select o.id
                from contacts o
                where o.campaign_id = k.id and o.phone_number = any ($1::text[])
                for no key update) p))
        returning c.id
        """
    )

    private static let eraseAttempts = PostgresStatement(
        name: "erase_attempts",
        """
        update call_attempts
        set phone_number = null, provider_call_id = null, metadata = null
        where phone_number = any ($1::text[])
        """
    )

    private static let eraseEvents = PostgresStatement(
        name: "erase_events",
        "update survey_events set external_contact_id = null where contact_id = any ($1::uuid[])"
    )

    private static let eraseExclusions = PostgresStatement(
        name: "erase_exclusions",
        "delete from exclusion_list_entries where phone_number = any ($1::text[])"
    )

    private static let eraseConsents = PostgresStatement(
        name: "erase_consents",
        "delete from consents where phone_number = any ($1::text[])"
    )

    private static let eraseCampaignExclusions = PostgresStatement(
        name: "erase_campaign_exclusions",
        "delete from campaign_exclusions where phone_number = any ($1::text[])"
    )

    private static let eraseRemovedExclusions = PostgresStatement(
        name: "erase_removed_exclusions",
        "delete from removed_exclusions where phone_number = any ($1::text[])"
    )
}
