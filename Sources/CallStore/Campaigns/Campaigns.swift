// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import CallModel
public import Foundation
import Postgres

extension CallStore {
    /// A campaign as stored.
    public struct Campaign: Sendable {
        /// Its id.
        public let id: UUID
        /// What was settled about it.
        public let settings: CampaignSettings
        /// Where it stands.
        public let status: CampaignStatus
        /// Why it stands there, when somebody or something gave a reason.
        public let statusReason: String?
        /// Since when.
        public let statusChangedAt: Date
        /// Why its trunk is paused, when it is.
        public let trunkPausedReason: String?
    }

    /// An operator's wish about a campaign.
    public enum CampaignAction: String, Sendable, CaseIterable {
        /// From draft, or scheduled, to running; to scheduled when `starts_at` lies ahead.
        case start
        /// Stop placing calls.
        case pause
        /// Go on after a pause.
        case resume
        /// Give up for good.
        case cancel
    }

    /// Stores a new campaign as a draft.
    /// - Parameters:
    ///   - settings: What the campaign itself settles.
    ///   - policy: Tightens it, in the same transaction.
    ///   - actor: Who wishes it.
    /// - Returns: The campaign's id.
    /// - Throws: ``StoreError`` with code `alreadyExists`, or `notAllowed` when the policy leaves no window.
    public func createCampaign(
        _ settings: CampaignSettings,
        policy: Policy? = nil,
        actor: String = "program"
    ) async throws -> UUID {
        do {
            let result = try await self.execute(
                Self.insertCampaign,
                [
                    settings.name, settings.language, settings.trunk, settings.priority, settings.maximumAttempts,
                    settings.retryIntervalMinutes, settings.window?.startText, settings.window?.endText,
                    settings.callDays.map { Int16($0) }, settings.timeZone, settings.maximumConcurrentCalls,
                    settings.ringTimeoutSeconds, settings.maximumCallSeconds, settings.detectsMachines,
                    settings.callerID?.e164, settings.answerURL, settings.startsAt, settings.endsAt,
                    try Self.json(Self.byName(settings.retryMinutes)), settings.retryJitterPercent,
                    settings.week?.multirange, try Self.json(settings.numberLimits),
                    try Self.json(Self.byName(settings.outcomeMaximums)), try Self.json(settings.dayParts),
                    settings.requiresConsent, settings.weight, settings.callsPerHour, settings.targetCompletes,
                    try Self.json(settings.cellTargets), actor, settings.zoneEvidence.rawValue,
                ],
                andApply: policy,
                to: settings.name,
                actor: actor
            )
            guard let id = try result.first?.decode(UUID.self, named: "id") else {
                throw StoreError(code: .notAllowed, message: "the campaign was not stored")
            }
            return id
        } catch let error as PostgresError where error.sqlState == "23505" {
            throw StoreError(code: .alreadyExists, message: "a campaign named '\(settings.name)' exists already")
        }
    }

    /// One campaign.
    /// - Throws: ``StoreError`` with code `notFound`.
    public func campaign(named name: String) async throws -> Campaign {
        let rows = try await self.client.execute(Self.selectCampaigns, [name as String?])
        guard let row = rows.first else { throw Self.noCampaign(name) }
        return try Self.campaign(row)
    }

    /// All campaigns, newest first.
    /// - Throws: `PostgresError`.
    public func campaigns() async throws -> [Campaign] {
        try await self.client.execute(Self.selectCampaigns, [String?.none]).map(Self.campaign)
    }

    /// Changes where a campaign stands. Takes effect on the next claim and on the next dial.
    /// - Parameters:
    ///   - action: The wish.
    ///   - name: The campaign.
    ///   - reason: Kept with the change.
    ///   - actor: Who or what wishes it.
    /// - Returns: The new status.
    /// - Throws: ``StoreError``: `notFound`, or `notAllowed` with what is missing.
    @discardableResult
    public func perform(
        _ action: CampaignAction,
        onCampaign name: String,
        reason: String?,
        actor: String
    ) async throws -> CampaignStatus {
        try await self.client.withTransaction { connection in
            let rows = try await connection.execute(Self.lockCampaign, [name])
            guard let row = rows.first else { throw Self.noCampaign(name) }
            let status: String = try row.decode(named: "status")
            let startsLater: Bool = try row.decode(named: "starts_later")
            let missing: [String] = try row.decode(named: "missing")
            guard let current = CampaignStatus(rawValue: status) else {
                throw StoreError(code: .schemaMismatch, message: "campaign status '\(status)' is unknown here")
            }
            let next = try Self.next(action, from: current, startsLater: startsLater, name: name)
            if next == .running || next == .scheduled {
                guard missing.isEmpty else {
                    throw StoreError(
                        code: .notAllowed,
                        message: "campaign '\(name)' cannot be started: " + missing.joined(separator: "; ")
                    )
                }
                try await Self.requireCallerID(ofCampaign: name, on: connection)
            }
            try await connection.execute(
                Self.updateCampaignStatus,
                [try row.decode(UUID.self, named: "id"), next.rawValue, reason, actor]
            )
            return next
        }
    }

    /// Pauses a campaign because its configuration is at fault, unless somebody has changed its state already.
    /// - Returns: Whether it was running.
    /// - Throws: `PostgresError`.
    @discardableResult
    public func pauseCampaign(id: UUID, reason: String, actor: String) async throws -> Bool {
        try await self.client.execute(Self.pauseRunning, [id, reason, actor]).count > 0
    }

    /// Pauses every running campaign at once.
    /// - Returns: The names of those that were running.
    /// - Throws: `PostgresError`.
    public func pauseAllCampaigns(reason: String?, actor: String) async throws -> [String] {
        try await self.client.execute(Self.pauseAll, [reason, actor]).map { try $0.decode(named: "name") }
    }

    /// The campaigns that were paused with all others and were not touched since.
    /// - Throws: `PostgresError`.
    public func campaignsPausedWithAll() async throws -> [String] {
        try await self.client.execute(Self.selectPausedWithAll).map { try $0.decode(named: "name") }
    }

    static func noCampaign(_ name: String) -> StoreError {
        StoreError(
            code: .notFound,
            message: "there is no campaign named '\(name)'; `call-scheduler campaign list` shows them"
        )
    }

    private static func next(
        _ action: CampaignAction,
        from status: CampaignStatus,
        startsLater: Bool,
        name: String
    ) throws -> CampaignStatus {
        switch (action, status) {
        case (.start, .draft), (.start, .scheduled), (.resume, .paused), (.start, .completed):
            return startsLater ? .scheduled : .running
        case (.pause, .running), (.pause, .scheduled):
            return .paused
        case (.cancel, .draft), (.cancel, .scheduled), (.cancel, .running), (.cancel, .paused), (.cancel, .completed):
            return .cancelled
        case (.start, .paused):
            throw StoreError(code: .notAllowed, message: "campaign '\(name)' is paused: resume it instead")
        default:
            throw StoreError(
                code: .notAllowed,
                message: "campaign '\(name)' is \(status.rawValue): \(action.rawValue) is not possible from there"
            )
        }
    }

    private static func json(_ value: some Encodable) throws -> String {
        String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }

    private static func byName(_ values: [CallOutcome: Int]) -> [String: Int] {
        Dictionary(uniqueKeysWithValues: values.map { ($0.key.rawValue, $0.value) })
    }

    private static func byOutcome(_ row: PostgresRow, _ column: String) throws -> [CallOutcome: Int] {
        var values: [CallOutcome: Int] = [:]
        for (text, value) in try Self.decode([String: Int].self, row, column) {
            guard let outcome = CallOutcome(rawValue: text) else {
                throw StoreError(
                    code: .schemaMismatch,
                    message: "campaigns.\(column) names '\(text)', which is unknown here"
                )
            }
            values[outcome] = value
        }
        return values
    }

    private static func decode<Value: Decodable>(
        _ type: Value.Type,
        _ row: PostgresRow,
        _ column: String
    ) throws -> Value {
        try JSONDecoder().decode(type, from: Data(try row.decode(String.self, named: column).utf8))
    }

    private static func campaign(_ row: PostgresRow) throws -> Campaign {
        var settings = CampaignSettings(
            name: try row.decode(named: "name"),
            timeZone: try row.decode(named: "time_zone")
        )
        settings.language = try row.decode(named: "language")
        settings.trunk = try row.decode(named: "trunk")
        settings.priority = try row.decode(named: "priority")
        settings.maximumAttempts = try row.decode(named: "max_attempts")
        settings.retryIntervalMinutes = try row.decode(named: "retry_interval_minutes")
        settings.retryMinutes = try Self.byOutcome(row, "retry_minutes")
        settings.outcomeMaximums = try Self.byOutcome(row, "outcome_maximums")
        settings.dayParts = try Self.decode([DayPart].self, row, "day_parts")
        settings.requiresConsent = try row.decode(named: "requires_consent")
        settings.weight = try row.decode(named: "weight")
        settings.callsPerHour = try row.decode(named: "calls_per_hour")
        settings.targetCompletes = try row.decode(named: "target_completes")
        settings.cellTargets = try Self.decode([String: Int].self, row, "cell_targets")
        settings.retryJitterPercent = try row.decode(named: "retry_jitter_percent")
        let start = try row.decode(String?.self, named: "window_start")
        let end = try row.decode(String?.self, named: "window_end")
        if let start, let end {
            settings.window = try LocalTimeWindow("\(start)-\(end)")
        } else {
            settings.window = nil
        }
        settings.week = try row.decode(String?.self, named: "weekly_windows").map { try CallingWeek(multirange: $0) }
        settings.numberLimits = try Self.decode([NumberLimit].self, row, "number_limits")
        settings.callDays = try row.decode([Int16].self, named: "call_days").map { Int($0) }
        settings.zoneEvidence = try Self.zoneEvidence(row.decode(named: "zone_evidence"))
        settings.maximumConcurrentCalls = try row.decode(named: "max_concurrent_calls")
        settings.ringTimeoutSeconds = try row.decode(named: "ring_timeout_seconds")
        settings.maximumCallSeconds = try row.decode(named: "max_call_seconds")
        settings.detectsMachines = try row.decode(named: "detects_machines")
        settings.callerID = try row.decode(String?.self, named: "caller_id").map { try PhoneNumber($0) }
        settings.answerURL = try row.decode(named: "answer_url")
        settings.startsAt = try row.decode(named: "starts_at")
        settings.endsAt = try row.decode(named: "ends_at")
        let status = try row.decode(String.self, named: "status")
        guard let status = CampaignStatus(rawValue: status) else {
            throw StoreError(code: .schemaMismatch, message: "campaign status '\(status)' is unknown here")
        }
        return Campaign(
            id: try row.decode(named: "id"),
            settings: settings,
            status: status,
            statusReason: try row.decode(named: "status_reason"),
            statusChangedAt: try row.decode(named: "status_changed_at"),
            trunkPausedReason: try row.decode(named: "paused_reason")
        )
    }
}
