// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import AMQP
import CallModel
import CallQueues
import CallStore
import Logging
import Metrics
import NIOConcurrencyHelpers
import Observability
import Tracing

extension Selector {
    /// What the clock has brought: campaigns that start or end, claims that nobody has dialed, calls that nobody watches.
    func sweep(_ summary: inout PassSummary) async throws {
        let moved = try await self.store.advanceCampaigns()
        summary.started = moved.started.map(\.name)
        summary.ended = moved.ended.map(\.name)
        for campaign in moved.started { self.logger.info("Campaign starts", metadata: campaign.metadata) }
        for campaign in moved.ended { self.logger.info("Campaign ends by its date", metadata: campaign.metadata) }
        let swept = try await self.store.sweepExpiredClaims()
        summary.expiredLeases = swept.givenBack
        self.metrics.leasesExpired.increment(by: swept.givenBack)
        if swept.givenBack > 0 {
            self.logger.notice(
                "Claims expired in the queue and were given back",
                metadata: .keys([.count: swept.givenBack])
            )
        }
        if swept.failed > 0 {
            self.logger.error(
                "Claims expired in the queue and cannot be given back: their statements fail",
                metadata: .keys([.count: swept.failed])
            )
        }
        try await self.store.sweepRoles()
        self.metrics.overduePolicies.record(try await self.store.overduePolicies().count)
        let missed = try await self.store.noteMissedAppointments()
        self.metrics.appointmentsMissed.increment(by: missed)
        if missed > 0 {
            self.logger.warning("Appointments passed without a call", metadata: .keys([.count: missed]))
        }
        let orphans = try await self.store.trunksWithOrphans()
        let trunks = Set(orphans.map(\.trunk))
        self.unwatchedTrunks.withLockedValue { $0.formIntersection(trunks) }
        for (trunk, count) in orphans {
            do {
                summary.renewedOrphans += try await self.renew(trunk, count: count)
            } catch let error as AMQPError where error.mayConcernOneTrunkOnly {
                try await self.putAside(trunk: trunk, error, &summary)
            }
        }
    }

    /// Offers calls that nobody watches to the dialers of their trunk: while they take what they are offered, or if there are
    /// none, once for the one that comes. Else the offers would gather in the queue, and more come with every pass.
    private func renew(_ trunk: String, count: Int) async throws -> Int {
        try await self.declare(trunk: trunk)
        let status = try await self.queueStatus(trunk)
        let room = min(self.configuration.queueDepth - status.messagesReady, 500)
        guard room > 0, status.consumers > 0 || status.messagesReady == 0 else {
            if self.unwatchedTrunks.withLockedValue({ $0.insert(trunk).inserted }) {
                self.logger.warning(
                    "Calls past their deadline are watched by no dialer, and none of their trunk takes requests",
                    metadata: .keys([.trunk: trunk, .count: count])
                )
            }
            return 0
        }
        let requests = try await self.store.orphanedAttempts(trunk: trunk, limit: room)
        guard !requests.isEmpty else { return 0 }
        let publications = requests.map { request in
            CallMessages.publication(
                of: request,
                trunk: trunk,
                context: InstrumentationContext.topLevel.rooted(at: request.callID)
            )
        }
        _ = await self.broker.publish(batch: publications)
        self.metrics.orphansRenewed.increment(by: requests.count)
        self.logger.notice(
            "Calls past their deadline are watched by no dialer and were offered for adoption",
            metadata: .keys([.trunk: trunk, .count: requests.count])
        )
        return requests.count
    }
}

extension CallStore.NamedCampaign {
    var metadata: Logger.Metadata { .keys([.campaign: self.id.lowercased, .campaignName: self.name]) }
}
