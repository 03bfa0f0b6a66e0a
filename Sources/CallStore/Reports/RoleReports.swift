// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

public import Foundation
import Postgres

extension CallStore {
    /// What a role says of itself.
    public struct RoleReport: Sendable, Equatable, Codable {
        /// What roles there are.
        public enum Kind: String, Sendable, Codable, CaseIterable {
            /// Claims contacts.
            case selector
            /// Places calls.
            case dialer
            /// Records what became of them.
            case recorder
            /// Takes callbacks.
            case webhooks
        }

        /// Where a dialer's circuit breaker stands.
        public enum Breaker: String, Sendable, Codable {
            /// The provider is asked.
            case closed
            /// The provider fails and is not asked.
            case open
            /// One call is tried.
            case probing
        }

        /// What it does.
        public let kind: Kind
        /// Who it is among those of its kind.
        public let id: String
        /// Why it is not ready; nil when it is.
        public var fault: String?
        /// A dialer's trunk.
        public var trunk: String?
        /// How many calls a dialer makes at once at most.
        public var lines: Int?
        /// How many of its calls are live.
        public var live: Int?
        /// Its circuit breaker.
        public var breaker: Breaker?
        /// When a selector's last pass ended.
        public var passedAt: Date?
        /// How long a selector rests after a pass, in seconds.
        public var restsSeconds: Double?

        /// Creates a report.
        public init(kind: Kind, id: String) {
            self.kind = kind
            self.id = id
        }
    }

    /// A role as its process was heard of last.
    public struct RoleStanding: Sendable, Equatable, Codable {
        /// Whether it works.
        public enum Presence: String, Sendable, Codable {
            /// It was heard of just now.
            case running
            /// It has ended in good order.
            case stopped
            /// It says nothing any more: it has died, its machine is away, or it does not reach the database.
            case silent
        }

        /// What it said last.
        public let report: RoleReport
        /// On which host it runs.
        public let host: String
        /// The program's version.
        public let version: String
        /// When it started.
        public let since: Date
        /// When it was heard of last.
        public let seenAt: Date
        /// Whether it works.
        public let presence: Presence
    }

    /// A process reports every so often.
    public static let roleReportInterval = Duration.seconds(5)
    /// A process that has not been heard of for so long is taken for gone.
    static let roleSilence = "interval '20 seconds'"
    /// For so long people can see that there was one.
    static let roleMemory = "interval '1 day'"

    /// Notes how the roles of a process are.
    /// - Parameters:
    ///   - reports: What they say.
    ///   - instance: The process.
    ///   - host: Where it runs.
    ///   - version: The program's version.
    /// - Throws: `PostgresError`.
    public func note(_ reports: [RoleReport], instance: UUID, host: String, version: String) async throws {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        let text = String(decoding: try encoder.encode(reports), as: UTF8.self)
        try await self.client.execute(Self.noteRoles, [instance, host, version, text])
    }

    /// Notes that a process has ended in good order.
    /// - Throws: `PostgresError`.
    public func noteStop(instance: UUID) async throws {
        try await self.client.execute(Self.noteStoppedRoles, [instance])
    }

    /// Forgets processes that were not heard of for a day.
    /// - Throws: `PostgresError`.
    public func sweepRoles() async throws {
        try await self.client.execute(Self.deleteOldRoles)
    }

    /// The roles as they were heard of last, the latest of each kind and id, dialers by their trunk.
    /// - Throws: `PostgresError`.
    public func roles() async throws -> [RoleStanding] {
        try await self.client.execute(Self.selectRoles).map { row -> RoleStanding? in
            guard let kind = RoleReport.Kind(rawValue: try row.decode(named: "kind")) else { return nil }
            var report = RoleReport(kind: kind, id: try row.decode(named: "id"))
            report.fault = try row.decode(named: "fault")
            report.trunk = try row.decode(named: "trunk")
            report.lines = try row.decode(named: "lines")
            report.live = try row.decode(named: "live")
            report.breaker = try row.decode(String?.self, named: "breaker").flatMap { RoleReport.Breaker(rawValue: $0) }
            report.passedAt = try row.decode(named: "passed_at")
            report.restsSeconds = try row.decode(named: "rests_seconds")
            return RoleStanding(
                report: report,
                host: try row.decode(named: "host"),
                version: try row.decode(named: "version"),
                since: try row.decode(named: "since"),
                seenAt: try row.decode(named: "seen_at"),
                presence: RoleStanding.Presence(rawValue: try row.decode(named: "presence")) ?? .silent
            )
        }.compactMap(\.self)
    }

    private static let noteRoles = PostgresStatement(
        name: "note_roles",
        """
        insert into roles (instance, kind, id, host, version, trunk, fault, lines, live, breaker, passed_at, rests_seconds)
        select $1::uuid, r->>'kind', r->>'id', $2::text, $3::text, r->>'trunk', r->>'fault', (r->>'lines')::int,
            (r->>'live')::int, r->>'breaker', (r->>'passedAt')::timestamptz, (r->>'restsSeconds')::float8
        from jsonb_array_elements($4::text::jsonb) as r
        on conflict (instance, kind) do update
        set seen_at = now(), stopped_at = null, fault = excluded.fault, lines = excluded.lines, live = excluded.live,
            breaker = excluded.breaker, passed_at = excluded.passed_at, rests_seconds = excluded.rests_seconds
        """
    )

    private static let noteStoppedRoles = PostgresStatement(
        name: "note_stopped_roles",
        "update roles set stopped_at = now() where instance = $1"
    )

    private static let deleteOldRoles = PostgresStatement(
        name: "delete_old_roles",
        "delete from roles where seen_at < now() - \(CallStore.roleMemory)"
    )

    private static let selectRoles = PostgresStatement(
        name: "select_roles",
        """
        select *
        from (
            select distinct on (kind, id) kind, id, host, version, trunk, since, seen_at, fault, lines::bigint as lines,
                live::bigint as live, breaker, passed_at, rests_seconds,
                case
                    when stopped_at is not null then 'stopped'
                    when seen_at < now() - \(CallStore.roleSilence) then 'silent'
                    else 'running'
                end as presence
            from roles
            order by kind, id, stopped_at is not null, seen_at desc) r
        order by array_position(array['selector', 'dialer', 'recorder', 'webhooks'], kind), trunk, id
        """
    )
}
