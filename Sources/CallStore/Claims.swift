// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
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
    public func advanceCampaigns() async throws -> (started: [String], ended: [String]) {
        let started = try await self.client.execute(Self.startScheduled)
        let ended = try await self.client.execute(Self.endElapsed)
        return (
            try started.map { try $0.decode(String.self, at: 0) },
            try ended.map { try $0.decode(String.self, at: 0) }
        )
    }

    /// The running campaigns on trunks that are not paused, by priority, then age.
    /// - Throws: `PostgresError`.
    public func runningCampaigns() async throws -> [RunningCampaign] {
        try await self.client.execute(Self.running).map { row in
            RunningCampaign(
                id: try row.decode(UUID.self, at: 0),
                name: try row.decode(String.self, at: 1),
                trunk: try row.decode(String.self, at: 2),
                priority: try row.decode(Int.self, at: 3),
                weight: try row.decode(Int.self, at: 4),
                underWay: try row.decode(Int.self, at: 5),
                mayRest: try row.decode(Bool.self, at: 6)
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
            examined = try row.decode(Int.self, at: 5)
            setAside = try row.decode(Int.self, at: 6)
            guard let callID = try row.decode(UUID?.self, at: 0) else { continue }
            requests.append(
                DialRequest(
                    callID: callID,
                    contactID: try row.decode(UUID.self, at: 1),
                    campaignID: campaign,
                    attemptNumber: try row.decode(Int.self, at: 2),
                    claimedAt: try row.decode(Date.self, at: 3),
                    expiresAt: try row.decode(Date.self, at: 4),
                    dueAt: try row.decode(Date?.self, at: 7)
                )
            )
        }
        return ClaimResult(
            requests: requests,
            isContended: !sawCampaign,
            mayHaveMore: examined >= depth && setAside > 0
        )
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

    /// Gives back claims whose lease has ended without an attempt.
    /// - Returns: How many were given back.
    /// - Throws: `PostgresError`.
    public func sweepExpiredClaims(limit: Int = 5000) async throws -> Int {
        try await self.client.execute(Self.sweepClaims, [limit]).affectedRows
    }

    /// Finds open attempts that are long past their deadline, which means that no Dialer watches them, and renews
    /// their requests so that one adopts them.
    /// - Returns: The requests to publish, with the trunk to publish each to.
    /// - Throws: `PostgresError`.
    public func orphanedAttempts(limit: Int = 500) async throws -> [(request: DialRequest, trunk: String)] {
        try await self.client.execute(Self.renewOrphans, [limit]).map { row in
            (
                DialRequest(
                    callID: try row.decode(UUID.self, at: 0),
                    contactID: try row.decode(UUID.self, at: 1),
                    campaignID: try row.decode(UUID.self, at: 2),
                    attemptNumber: try row.decode(Int.self, at: 3),
                    claimedAt: try row.decode(Date.self, at: 4),
                    expiresAt: try row.decode(Date.self, at: 5)
                ),
                try row.decode(String.self, at: 6)
            )
        }
    }

    /// Completes a running campaign that has nothing left to call.
    /// - Returns: Whether it was completed now.
    /// - Throws: `PostgresError`.
    public func completeIfExhausted(campaign: UUID) async throws -> Bool {
        try await self.client.execute(Self.completeExhausted, [campaign]).affectedRows > 0
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
        return try rows.map { try $0.decode(String.self, at: 0) }.joined(separator: "\n")
    }
}
