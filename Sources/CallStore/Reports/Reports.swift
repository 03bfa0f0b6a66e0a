// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// A campaign in figures.
    public struct CampaignReport: Sendable {
        /// Contacts by state.
        public var contacts: [ContactState: Int] = [:]
        /// Contacts in `not_reached` that have no attempt left.
        public var exhausted = 0
        /// Ended attempts that were charged, by outcome.
        public var attempts: [CallOutcome: Int] = [:]
        /// Attempts for which the provider definitely placed nothing.
        public var notPlaced = 0
        /// Attempts that are not over.
        public var openAttempts = 0
        /// Contacts that were reached by a person at least once.
        public var reached = 0

        /// Contacts whose story is not over.
        public var open: Int {
            self[.pending] + self[.inProgress] + self[.notReached] - self.exhausted
        }

        /// All contacts.
        public var total: Int { self.contacts.values.reduce(0, +) }

        /// Contacts in one state.
        public subscript(state: ContactState) -> Int { self.contacts[state] ?? 0 }

        /// Contacts reached, as a share of those that may be called.
        public var reachRate: Double? {
            let base = self.total - self[.excluded]
            return base > 0 ? Double(self.reached) / Double(base) : nil
        }

        /// Contacts completed, as a share of those that may be called.
        public var completionRate: Double? {
            let base = self.total - self[.excluded]
            return base > 0 ? Double(self[.completed]) / Double(base) : nil
        }
    }

    /// One attempt as evidence, for comparing with a provider's own record.
    public struct AttemptRecord: Sendable {
        /// The call.
        public let callID: UUID
        /// The number that was called.
        public let phoneNumber: String
        /// The provider's id of the call.
        public let providerCallID: String?
        /// When the row was made.
        public let startedAt: Date
        /// How it ended.
        public let outcome: CallOutcome?
        /// Whether it was charged.
        public let isCounted: Bool
        /// The error code, if any.
        public let errorCode: String?
        /// What the interview reported, if it did.
        public let surveyOutcome: String?
    }

    /// The figures of one campaign.
    /// - Throws: `PostgresError`.
    public func report(campaign: UUID) async throws -> CampaignReport {
        var report = CampaignReport()
        let contacts = try await self.client.execute(Self.contactCounts, [campaign])
        for index in 0..<contacts.count {
            let row = contacts[index]
            let count: Int = try row.decode(named: "contacts")
            if let state = ContactState(rawValue: try row.decode(named: "state")) {
                report.contacts[state] = count
            }
            report.exhausted += try row.decode(Int.self, named: "exhausted")
            report.reached += try row.decode(Int.self, named: "reached")
        }
        let attempts = try await self.client.execute(Self.attemptCounts, [campaign])
        for index in 0..<attempts.count {
            let row = attempts[index]
            let count: Int = try row.decode(named: "attempts")
            guard let outcome = try row.decode(String?.self, named: "outcome").flatMap(CallOutcome.init(rawValue:))
            else {
                report.openAttempts += count
                continue
            }
            if try row.decode(Bool.self, named: "counted") {
                report.attempts[outcome, default: 0] += count
            } else {
                report.notPlaced += count
            }
        }
        return report
    }

    /// How many calls are open now, by trunk.
    /// - Throws: `PostgresError`.
    public func openCallsByTrunk() async throws -> [String: Int] {
        let rows = try await self.client.execute(Self.openByTrunk).map { row in
            (try row.decode(String.self, named: "trunk"), try row.decode(Int.self, named: "calls"))
        }
        return Dictionary(rows) { first, _ in first }
    }

    /// The attempts of a campaign in the order they were made.
    /// - Parameters:
    ///   - campaign: The campaign.
    ///   - body: Called with one page after the other.
    /// - Throws: `PostgresError`, and what `body` throws.
    public func attempts(campaign: UUID, _ body: ([AttemptRecord]) async throws -> Void) async throws {
        var last = 0
        while true {
            let rows = try await self.client.execute(Self.attemptPage, [campaign, last, 5000])
            let page = try rows.map { row in
                AttemptRecord(
                    callID: try row.decode(named: "call_id"),
                    phoneNumber: try row.decode(named: "phone_number"),
                    providerCallID: try row.decode(named: "provider_call_id"),
                    startedAt: try row.decode(named: "started_at"),
                    outcome: try row.decode(String?.self, named: "outcome").flatMap(CallOutcome.init(rawValue:)),
                    isCounted: try row.decode(named: "counted"),
                    errorCode: try row.decode(named: "error_code"),
                    surveyOutcome: try row.decode(named: "survey_outcome")
                )
            }
            guard !page.isEmpty else { return }
            last = try rows[rows.count - 1].decode(named: "id")
            try await body(page)
        }
    }

    /// Calls that have a row under another campaign.
    /// - Parameters:
    ///   - campaign: The campaign whose own are left out.
    ///   - callIDs: The calls that are asked about.
    ///   - providerCallIDs: The same, by the provider's ids: what was recovered has another `call_id` than it had.
    /// - Returns: Those of both lists that have one.
    /// - Throws: `PostgresError`.
    public func callsElsewhere(
        than campaign: UUID,
        callIDs: [UUID],
        providerCallIDs: [String]
    ) async throws -> Set<String> {
        let result = try await self.client.execute(Self.callsElsewhere, [callIDs, providerCallIDs, campaign])
        return Set(try result.map { try $0.decode(String.self, named: "id") })
    }

    private static let callsElsewhere = PostgresStatement(
        name: "calls_elsewhere",
        """
        select call_id::text as id from call_attempts where call_id = any ($1::uuid[]) and campaign_id <> $3
        union
        select provider_call_id from call_attempts where provider_call_id = any ($2::text[]) and campaign_id <> $3
        """
    )

    /// Merges the sums that the tables' triggers have added, of campaigns that have many: their number would grow with
    /// every change. Two that merge at once do not disturb each other, nor do reports.
    /// - Throws: `PostgresError`.
    public func mergeCounts() async throws {
        try await self.client.execute(Self.mergeContactCounts, [])
        try await self.client.execute(Self.mergeAttemptCounts, [])
    }

    private static let contactCounts = PostgresStatement(
        name: "contact_counts",
        """
        select state, sum(contacts)::bigint as contacts,
            coalesce(sum(contacts) filter (where state = 'not_reached' and not is_waiting), 0)::bigint as exhausted,
            coalesce(sum(contacts) filter (where disposition <= 2), 0)::bigint as reached
        from contact_counts
        where campaign_id = $1
        group by state
        having sum(contacts) <> 0
        """
    )

    private static let attemptCounts = PostgresStatement(
        name: "attempt_counts",
        """
        select outcome, counted, sum(attempts)::bigint as attempts
        from attempt_counts
        where campaign_id = $1
        group by outcome, counted
        having sum(attempts) <> 0
        """
    )

    private static let mergeContactCounts = PostgresStatement(
        name: "merge_contact_counts",
        """
        with merged as (
            delete from contact_counts
            where (select pg_try_advisory_xact_lock(16, 1)) and campaign_id in (
                select campaign_id from contact_counts group by campaign_id having count(*) > 1000)
            returning campaign_id, state, is_waiting, disposition, contacts)
        insert into contact_counts (campaign_id, state, is_waiting, disposition, contacts)
        select campaign_id, state, is_waiting, disposition, sum(contacts)
        from merged
        group by campaign_id, state, is_waiting, disposition
        having sum(contacts) <> 0
        """
    )

    private static let mergeAttemptCounts = PostgresStatement(
        name: "merge_attempt_counts",
        """
        with merged as (
            delete from attempt_counts
            where (select pg_try_advisory_xact_lock(16, 2)) and campaign_id in (
                select campaign_id from attempt_counts group by campaign_id having count(*) > 1000)
            returning campaign_id, outcome, counted, attempts)
        insert into attempt_counts (campaign_id, outcome, counted, attempts)
        select campaign_id, outcome, counted, sum(attempts)
        from merged
        group by campaign_id, outcome, counted
        having sum(attempts) <> 0
        """
    )

    private static let openByTrunk = PostgresStatement(
        name: "open_by_trunk",
        """
        select k.trunk, count(*) as calls
        from call_attempts a
        join campaigns k on k.id = a.campaign_id
        where a.ended_at is null
        group by k.trunk
        """
    )

    private static let attemptPage = PostgresStatement(
        name: "attempt_page",
        """
        select id, call_id, phone_number, provider_call_id, started_at, outcome, counted, error_code, survey_outcome
        from call_attempts
        where campaign_id = $1 and id > $2
        order by id
        limit $3
        """
    )
}
