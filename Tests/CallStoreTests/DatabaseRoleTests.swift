// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import CallStore
import Foundation
import Logging
import Postgres
import Schemas
import TestBasics
import TestSupport
import Testing

/// The roles of `ops/postgres/roles.sql`: each does all that its process does, and needs every grant for it.
@Suite(.timeLimit(.minutes(20)), .serialized)
struct DatabaseRoleTests {
    private struct Roles: Sendable {
        let scratch: Scratch
        let clients: [PostgresClient]
        let stores: [String: CallStore]

        func store(_ role: String) throws -> CallStore { try #require(self.stores[role]) }

        /// Connects as each role, after the script has made them.
        static func run(_ body: @Sendable (Roles) async throws -> Void) async throws {
            try await Scratch.run { scratch in
                let script = Shell.root.appendingPathComponent("ops/postgres/roles.sql")
                try await Shell.run("psql -XAqt -v ON_ERROR_STOP=1 -f '\(script.path)' '\(scratch.databaseURL)'")
                // A second time: it is run after each migration.
                try await Shell.run("psql -XAqt -v ON_ERROR_STOP=1 -f '\(script.path)' '\(scratch.databaseURL)'")
                var clients: [PostgresClient] = []
                var stores: [String: CallStore] = [:]
                for role in ["selector", "dialer", "recorder", "webhooks", "operator", "reader"] {
                    let client = PostgresClient(
                        configuration: try PostgresConfiguration(
                            uri: scratch.databaseURL + "?options=-c%20role%3Dcall_scheduler_\(role)"
                        ),
                        logger: scratch.logger
                    )
                    clients.append(client)
                    stores[role] = CallStore(client: client, logger: scratch.logger)
                }
                do {
                    try await body(Roles(scratch: scratch, clients: clients, stores: stores))
                } catch {
                    for client in clients { await client.close() }
                    throw error
                }
                for client in clients { await client.close() }
            }
        }

        /// A campaign with every rule, so that every table is asked.
        func campaign(contacts: Int, _ change: (inout CampaignSettings) -> Void = { _ in }) async throws -> UUID {
            let limit = try NumberLimit(attemptsPer: "5/24h")
            let campaign = try await Fixtures.runningCampaign(
                in: self.scratch.store,
                name: UUID().uuidString,
                contacts: contacts,
                first: Int.random(in: 0..<9_000_000)
            ) {
                $0.numberLimits = [limit]
                $0.dayParts = [
                    DayPart(name: "all", week: CallingWeek(window: nil, weekdays: Array(1...7)), attempts: nil)
                ]
                $0.requiresConsent = true
                $0.maximumConcurrentCalls = 100
                $0.callsPerHour = 10_000
                $0.targetCompletes = 1000
                $0.cellTargets = ["north": 5]
                $0.maximumAttempts = 3
                change(&$0)
            }
            // Where holidays of a country have to be asked for.
            try await self.scratch.execute(
                "update campaign_strata set region = 'FR' where campaign_id = $1",
                [campaign]
            )
            return campaign
        }

        func wishes(_ requests: [DialRequest]) -> [CallStore.AttemptRequest] {
            requests.map { .init(callID: $0.callID, contactID: $0.contactID, expiresAt: $0.expiresAt) }
        }
    }

    @Test("the roles of all processes together run a campaign from the claim to the outcome")
    func together() async throws {
        try await Roles.run { roles in
            for role in ["selector", "dialer", "recorder", "webhooks", "operator", "reader"] {
                let newest = Schemas.migrations.last?.number ?? 0
                #expect(try await roles.store(role).schemaState() == .current(version: newest))
            }
            try await Self.select(roles)
            try await Self.dial(roles)
            try await Self.record(roles)
            try await Self.hear(roles)
        }
    }

    @Test("no process can do what is another's: each refusal is the server's")
    func refusals() async throws {
        try await Roles.run { roles in
            _ = try await roles.campaign(contacts: 1)
            let forbidden: [(role: Int, sql: String)] = [
                (0, "select email from contacts"), (0, "update contacts set attempts_count = 0"),
                (0, "insert into call_attempts (call_id) select gen_random_uuid()"), (0, "delete from contacts"),
                (0, "update campaigns set max_attempts = 15"), (0, "delete from exclusion_list_entries"),
                (1, "select email from contacts"), (1, "select external_contact_id from contacts"),
                (1, "select * from contacts"), (1, "update contacts set phone_number = '+15005550001'"),
                (1, "update contacts set do_not_call = false"), (1, "update contacts set has_prior_consent = true"),
                (1, "insert into contacts (id) select gen_random_uuid()"), (1, "delete from contacts"),
                (1, "delete from call_attempts"), (1, "update call_attempts set phone_number = '+15005550001'"),
                (1, "update call_attempts set started_at = now()"), (1, "update campaigns set max_attempts = 15"),
                (1, "update campaigns set answer_url = 'http://elsewhere.example'"),
                (1, "delete from exclusion_list_entries"), (1, "update exclusion_list_entries set expires_at = now()"),
                (1, "select * from survey_events"), (1, "insert into survey_events (kind) select 'completed'"),
                (1, "select * from suppressed_numbers"), (1, "truncate contacts"), (1, "drop table contacts"),
                (1, "alter table contacts disable trigger all"), (1, "create table t (i int)"),
                (1, "insert into contact_counts select * from contact_counts"), (1, "delete from attempt_counts"),
                (2, "update attempt_counts set attempts = 0"),
                (2, "select email from contacts"), (2, "delete from exclusion_list_entries"),
                (2, "update campaigns set status = 'running'"), (2, "update contacts set attempts_count = 0"),
                (3, "select email from contacts"), (3, "select * from call_attempts"), (3, "select * from contacts"),
                (3, "select provider_call_id from call_attempts"), (3, "delete from exclusion_list_entries"),
                (3, "update call_attempts set ended_at = now()"), (3, "update call_attempts set counted = false"),
                (3, "update contacts set attempts_count = 0"), (3, "update contacts set phone_number = '+15005550001'"),
                (3, "update campaigns set status = 'running'"), (3, "select answer_url from campaigns"),
                (3, "insert into contacts (id) select gen_random_uuid()"), (3, "delete from contacts"),
                (3, "insert into call_attempts (call_id) select gen_random_uuid()"),
                (3, "select * from suppressed_numbers"),
                (3, "update survey_events set published_at = now()"), (3, "update attempt_counts set attempts = 0"),
                (4, "drop table contacts"), (4, "delete from schema_migrations"),
                (5, "update contacts set attempts_count = 0"), (5, "delete from exclusion_list_entries"),
                (0, "update trunks set paused_at = null"), (0, "select * from survey_events"),
                (5, "insert into trunks (name) select 'x'"), (5, "create table t (i int)"),
            ]
            for (role, sql) in forbidden {
                let error = await #expect(throws: PostgresError.self, "\(sql)") {
                    try await roles.clients[role].execute(PostgresStatement(sql, prepared: false))
                }
                #expect(error?.sqlState == "42501", "\(sql): \(error.map { "\($0)" } ?? "")")
            }
        }
    }

    @Test(
        "every grant is needed: taken away, its process fails",
        arguments: ["selector", "dialer", "recorder", "webhooks"]
    )
    func needed(role: String) async throws {
        try await Roles.run { roles in
            let life: @Sendable () async throws -> Void = {
                switch role {
                case "selector": try await Self.select(roles)
                case "dialer": try await Self.dial(roles)
                case "webhooks": try await Self.hear(roles)
                default: try await Self.record(roles)
                }
            }
            try await life()
            let grants = try await Self.grants(of: role, roles.scratch)
            #expect(grants.count > 25)
            for grant in grants {
                try await roles.scratch.execute("revoke \(grant) from call_scheduler_\(role)")
                let error = await #expect(throws: (any Error).self, "\(role) does not need \(grant)") {
                    try await life()
                }
                // Of a batch whose adoptions fail, the calls that were made are kept, and only that is told.
                let isAdoption = error is NotAdopted && grant == "update (dialer_id) on call_attempts"
                let isRefusal = (error as? PostgresError)?.sqlState == "42501"
                #expect(isRefusal || isAdoption, "\(grant): \(error.map { "\($0)" } ?? "")")
                try await roles.scratch.execute("grant \(grant) to call_scheduler_\(role)")
            }
            try await life()
        }
    }

    /// Each table's and each column's privilege, as `grant` and `revoke` take it.
    private static func grants(of role: String, _ scratch: Scratch) async throws -> [String] {
        let tables = """
            select lower(privilege_type) || ' on ' || table_name from information_schema.role_table_grants
            where grantee = 'call_scheduler_\(role)' and table_name <> 'schema_migrations'
            """
        let columns = """
            select lower(c.privilege_type) || ' (' || c.column_name || ') on ' || c.table_name
            from information_schema.role_column_grants c
            where c.grantee = 'call_scheduler_\(role)' and not exists (
                select from information_schema.role_table_grants t
                where t.grantee = c.grantee and t.table_name = c.table_name and t.privilege_type = c.privilege_type)
            """
        return try await scratch.client.execute(
            PostgresStatement("\(tables) union all \(columns) order by 1", prepared: false)
        ).map { try $0.decode(String.self, at: 0) }
    }

    // MARK: What each process does

    /// How it is, twice, and that it ends.
    private static func tell(_ store: CallStore, _ kind: CallStore.RoleReport.Kind) async throws {
        let instance = UUID()
        for _ in 1...2 {
            try await store.note([.init(kind: kind, id: "x")], instance: instance, host: "h", version: "1")
        }
        try await store.noteStop(instance: instance)
    }

    private static func select(_ roles: Roles) async throws {
        let store = try roles.store("selector")
        let campaign = try await roles.campaign(contacts: 3)
        _ = try await store.advanceCampaigns()
        _ = try await store.campaignsWithWork()
        _ = try await store.runningTrunks()
        _ = try await store.campaignFigures()
        let claim = try await store.claim(campaign: campaign, limit: 2, leaseDuration: .seconds(60))
        #expect(claim.requests.count == 2)
        try await store.revertClaims(claim.requests.map(\.callID), contacts: claim.requests.map(\.contactID))
        _ = try await store.sweepExpiredClaims()
        try await store.mergeCounts()
        try await Self.tell(store, .selector)
        try await store.sweepRoles()
        _ = try await store.noteMissedAppointments()
        _ = try await store.overduePolicies()
        _ = try await store.trunksWithOrphans()
        _ = try await store.orphanedAttempts(trunk: "default", limit: 9)
        _ = try await store.completeExhausted()
        try await store.putAside(campaign: campaign, reason: "a reason")
        try await store.noteFaults([(campaign, "another")])
        try await store.clearFaults(campaigns: [campaign])
        try await store.putAside(trunk: "default", reason: "a reason")
        _ = try await store.faults()
        try await store.clearFault(trunk: "default")
        try await store.ping()
    }

    private static func dial(_ roles: Roles) async throws {
        let store = try roles.store("dialer")
        let owner = roles.scratch.store
        let campaign = try await roles.campaign(contacts: 5)
        try await roles.scratch.execute("update campaign_strata set region = 'DE'")
        try await roles.scratch.execute("delete from country_rests")
        let requests = try await owner.claim(campaign: campaign, limit: 5, leaseDuration: .seconds(60)).requests
        let wishes = roles.wishes(requests)
        // Four are made, and one of them is delivered again.
        for batch in [Array(wishes[..<4]), [wishes[0]]] {
            let verdicts = try await store.beginAttempts(batch, dialerID: "d1", trunk: "default", margin: .seconds(5))
            if case .undecided = verdicts[0] { throw NotAdopted() }
        }
        try await store.putBack(wishes[4], backOff: .seconds(1))
        _ = try await store.openAttempts(dialerID: "d1")
        let calls = wishes.map(\.callID)
        try await store.markPlaced([(calls[0], "CA" + UUID().uuidString, "queued")])
        try await store.markUnknown(callID: calls[1], errorCode: "500")
        try await store.revertAttempt(callID: calls[2], errorCode: "429", backOff: .seconds(1))
        let rest = Duration.seconds(60)
        _ = try await store.parkRefused(callID: calls[3], errorCode: "21215", isCountry: true, rest: rest)
        _ = try await store.endedCalls(among: calls)
        _ = try await store.callsToCancel(among: calls)
        _ = try await store.boundCalls(among: [("CA1", "+15005550006")])
        _ = try await store.pauseCampaign(id: campaign, reason: "21606", actor: "dialer")
        _ = try await store.pauseTrunk("trunk-\(UUID().uuidString)", reason: "20003")
        try await Self.tell(store, .dialer)
        try await store.ping()
    }

    /// An attempt that exists could not be taken over; why is not told.
    private struct NotAdopted: Error {}

    private static func record(_ roles: Roles) async throws {
        let store = try roles.store("recorder")
        let owner = roles.scratch.store
        let campaign = try await roles.campaign(contacts: 3) { $0.retryJitterPercent = 10 }
        let requests = try await owner.claim(campaign: campaign, limit: 3, leaseDuration: .seconds(60)).requests
        _ = try await owner.beginAttempts(
            roles.wishes(requests),
            dialerID: "d1",
            trunk: "default",
            margin: .seconds(5)
        )
        let now = Date()
        var batch = try await store.record(
            CallReport.merge([
                CallEvent(callID: requests[0].callID, providerCallID: "CA1", status: .completed, occurredAt: now),
                CallEvent(callID: requests[1].callID, status: .noAnswer, occurredAt: now),
                CallEvent(callID: requests[2].callID, status: .ringing, occurredAt: now),
            ])
        )
        #expect(batch.surveyEvents.count == 1)
        batch = try await store.record(
            SurveyOutcomeReport.merge([
                SurveyOutcomeReport(callID: requests[2].callID, outcome: .optOut, occurredAt: now)
            ])
        )
        #expect(batch.changed == 1)
        let events = try await store.unpublishedSurveyEvents(olderThan: .zero)
        try await store.markPublished(events.map(\.eventID))
        try await Self.tell(store, .recorder)
        try await store.ping()
    }

    /// What interviews say, during and after their calls.
    private static func hear(_ roles: Roles) async throws {
        let store = try roles.store("webhooks")
        let owner = roles.scratch.store
        let campaign = try await roles.campaign(contacts: 4)
        let requests = try await owner.claim(campaign: campaign, limit: 4, leaseDuration: .seconds(60)).requests
        _ = try await owner.beginAttempts(
            roles.wishes(requests),
            dialerID: "d1",
            trunk: "default",
            margin: .seconds(5)
        )
        let end = CallEvent(callID: requests[0].callID, status: .completed, occurredAt: Date())
        _ = try await owner.record([CallReport(end)])
        let outcomes: [SurveyOutcomeReport.Outcome] = [.refused, .completed, .optOut, .callback]
        for (request, outcome) in zip(requests, outcomes) {
            var report = SurveyOutcomeReport(callID: request.callID, outcome: outcome, occurredAt: Date())
            if outcome == .callback { report.callbackAt = Date(timeIntervalSinceNow: 3600) }
            let batch = try await store.record([report])
            #expect(batch.changed == 1)
            #expect(batch.surveyEvents.count == (request.callID == requests[0].callID ? 1 : 0))
        }
        try await Self.tell(store, .webhooks)
        try await store.ping()
    }
}
