// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// A campaign by both its names.
    public struct NamedCampaign: Sendable, Equatable {
        /// Its id.
        public let id: UUID
        /// What people call it.
        public let name: String

        init(_ row: PostgresRow) throws {
            self.id = try row.decode(named: "id")
            self.name = try row.decode(named: "name")
        }
    }

    /// A running campaign as the Selector sees it.
    public struct RunningCampaign: Sendable, Equatable {
        /// The campaign.
        public let id: UUID
        /// Its name.
        public let name: String
        /// Its trunk.
        public let trunk: String
        /// Higher goes first.
        public let priority: Int
        /// Its part of the trunk's lines, in proportion to the others'.
        public let weight: Int
        /// Contacts that are claimed or being called.
        public let underWay: Int
        /// Whether it has rules by which contacts that are due may have to rest: limits, day parts, consent.
        public let mayRest: Bool
        /// Whether contacts are due, their window is open, and its own rules leave room for calls.
        public let hasWork: Bool
        /// The time zones of contacts that are due which the database does not know: nobody is called there.
        public let unknownZones: [String]
        /// What was wrong with it when it was asked last; nil when nothing was.
        public let fault: String?
    }

    /// What a claim brought.
    public struct ClaimResult: Sendable {
        /// The requests to publish.
        public var requests: [DialRequest]
        /// Whether another selector was at work on this campaign, so that nothing could be learned.
        public var isContended: Bool
        /// Whether more may be due: all that was looked at was due, and some of it has been put off.
        public var mayHaveMore: Bool
    }

    /// Moves campaigns along by the clock: `scheduled` to `running` at `starts_at`, and to `completed` after `ends_at`.
    /// - Returns: Names of the campaigns that started, and of those that ended.
    /// - Throws: `PostgresError`.
    public func advanceCampaigns() async throws -> (started: [NamedCampaign], ended: [NamedCampaign]) {
        let started = try await self.client.execute(Self.startScheduled)
        let ended = try await self.client.execute(Self.endElapsed)
        return (try started.map(NamedCampaign.init), try ended.map(NamedCampaign.init))
    }

    /// The running campaigns that have somebody to call now, on trunks that are not paused, and those with which something
    /// is or was wrong; by priority, then age. Without those that are put aside until later.
    /// - Throws: `PostgresError`.
    public func campaignsWithWork() async throws -> [RunningCampaign] {
        try await self.client.execute(Self.campaignsWithWork).map { row in
            RunningCampaign(
                id: try row.decode(named: "id"),
                name: try row.decode(named: "name"),
                trunk: try row.decode(named: "trunk"),
                priority: try row.decode(named: "priority"),
                weight: try row.decode(named: "weight"),
                underWay: try row.decode(named: "under_way"),
                mayRest: try row.decode(named: "may_rest"),
                hasWork: try row.decode(named: "has_work"),
                unknownZones: try row.decode([String]?.self, named: "unknown_zones") ?? [],
                fault: try row.decode(named: "fault")
            )
        }
    }

    /// Claims eligible contacts of one campaign, most overdue first, each under a fresh `call_id`.
    /// - Parameters:
    ///   - campaign: The campaign; claims nothing unless it is running.
    ///   - limit: At most this many.
    ///   - leaseDuration: How long the requests may wait in the queue.
    ///   - mayRest: Whether many that are due may have to rest; ``RunningCampaign/mayRest``.
    /// - Returns: The requests to publish.
    /// - Throws: `PostgresError`.
    public func claim(
        campaign: UUID,
        limit: Int,
        leaseDuration: Duration,
        mayRest: Bool = true
    ) async throws -> ClaimResult {
        // Looking at more finds those that do not rest, and puts the others off.
        let depth = mayRest ? max(limit, Self.claimDepth) : limit
        let result = try await self.client.execute(
            Self.claimContacts,
            [campaign, limit, leaseDuration.inSeconds, depth]
        )
        var requests: [DialRequest] = []
        requests.reserveCapacity(result.count)
        var sawCampaign = false
        var examined = 0
        var setAside = 0
        for index in 0..<result.count {
            let row = result[index]
            sawCampaign = true
            examined = try row.decode(named: "examined")
            setAside = try row.decode(named: "set_aside")
            guard let callID = try row.decode(UUID?.self, named: "call_id") else { continue }
            requests.append(
                DialRequest(
                    callID: callID,
                    contactID: try row.decode(named: "id"),
                    campaignID: campaign,
                    attemptNumber: try row.decode(named: "attempt_number"),
                    claimedAt: try row.decode(named: "claimed_at"),
                    expiresAt: try row.decode(named: "expires_at"),
                    dueAt: try row.decode(named: "next_attempt_at")
                )
            )
        }
        return ClaimResult(
            requests: requests,
            isContended: !sawCampaign,
            mayHaveMore: examined >= depth && setAside > 0
        )
    }

    /// What came of asking one campaign among others.
    public enum ClaimOutcome: Sendable {
        /// It was asked.
        case claimed(ClaimResult)
        /// Its statement fails; the others' may not.
        case failed(reason: String)
    }

    /// ``claim(campaign:limit:leaseDuration:mayRest:)``, with what is wrong with this campaign alone as an answer.
    /// - Throws: `PostgresError` when the server is at fault.
    public func claimAlone(
        campaign: UUID,
        limit: Int,
        leaseDuration: Duration,
        mayRest: Bool
    ) async throws -> ClaimOutcome {
        do {
            return .claimed(
                try await self.claim(campaign: campaign, limit: limit, leaseDuration: leaseDuration, mayRest: mayRest)
            )
        } catch let error as PostgresError where error.mayConcernOneOnly || error.isOfItsLocks {
            return .failed(reason: "\(error)")
        }
    }

    /// How many contacts one claim looks at, at least.
    static let claimDepth = 200

    /// Gives claims back whose request was not confirmed by the broker. A claim that has an attempt stays.
    ///
    /// The unconfirmed request may still arrive; it is stale then, because the contact no longer carries its `call_id`.
    /// - Returns: How many claims were given back.
    /// - Throws: `PostgresError`.
    @discardableResult
    public func revertClaims(_ callIDs: [UUID], contacts: [UUID]) async throws -> Int {
        guard !callIDs.isEmpty else { return 0 }
        return try await self.client.execute(Self.revertUnpublished, [callIDs, contacts]).affectedRows
    }

    /// Gives back claims whose lease has ended without an attempt. One that cannot be given back keeps no other.
    /// - Returns: How many were given back, and of how many the statement fails.
    /// - Throws: `PostgresError`.
    public func sweepExpiredClaims(limit: Int = 5000) async throws -> (givenBack: Int, failed: Int) {
        let swept = try await Self.isolating([()]) { _ in try await self.sweep(limit, nil) }
        guard !swept.failed.isEmpty else { return (swept.done.reduce(0, +), 0) }
        let expired = try await self.client.execute(Self.expiredClaims, [limit])
        let contacts = try expired.map { try $0.decode(UUID.self, named: "id") }
        let each = try await Self.isolating(contacts) { contacts in try await self.sweep(limit, contacts) }
        return (each.done.reduce(0, +), each.failed.count)
    }

    private func sweep(_ limit: Int, _ contacts: [UUID]?) async throws -> Int {
        try await self.client.execute(Self.sweepClaims, [limit, contacts]).affectedRows
    }

    /// How many open attempts are long past their deadline, which means that no Dialer watches them, by trunk.
    /// - Throws: `PostgresError`.
    public func trunksWithOrphans() async throws -> [(trunk: String, count: Int)] {
        try await self.client.execute(Self.trunksWithOrphans).map { row in
            (try row.decode(named: "trunk"), try row.decode(named: "count"))
        }
    }

    /// Renews the requests of a trunk's attempts that nobody watches, so that a Dialer adopts them.
    /// - Parameters:
    ///   - trunk: The trunk.
    ///   - limit: At most this many.
    /// - Returns: The requests to publish.
    /// - Throws: `PostgresError`.
    public func orphanedAttempts(trunk: String, limit: Int) async throws -> [DialRequest] {
        try await self.client.execute(Self.renewOrphans, [trunk, limit]).map { row in
            DialRequest(
                callID: try row.decode(named: "call_id"),
                contactID: try row.decode(named: "contact_id"),
                campaignID: try row.decode(named: "campaign_id"),
                attemptNumber: try row.decode(named: "attempt_number"),
                claimedAt: try row.decode(named: "started_at"),
                expiresAt: try row.decode(named: "expires_at")
            )
        }
    }

    /// Completes the running campaigns that have nothing left to call.
    /// - Returns: Their names.
    /// - Throws: `PostgresError`.
    public func completeExhausted() async throws -> [NamedCampaign] {
        try await self.client.execute(Self.completeExhausted).map(NamedCampaign.init)
    }
}

extension Duration {
    /// The duration in seconds, as Postgres' `make_interval(secs => …)` takes it.
    var inSeconds: Double {
        let parts = self.components
        return Double(parts.seconds) + Double(parts.attoseconds) / 1e18
    }
}

extension CallStore {
    /// The plan that the server would use for a claim, for tests, benchmarks and support.
    /// - Throws: `PostgresError`.
    public func explainClaim(campaign: UUID, limit: Int) async throws -> String {
        let statement = PostgresStatement("explain " + Self.claimContacts.sql, prepared: false)
        let rows = try await self.client.execute(statement, [campaign, limit, 300.0, max(limit, Self.claimDepth)])
        return try rows.map { try $0.decode(String.self, named: "QUERY PLAN") }.joined(separator: "\n")
    }
}
