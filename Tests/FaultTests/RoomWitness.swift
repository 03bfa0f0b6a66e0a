// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import Postgres

/// What the rules that look at other calls could see: what each call and each contact took of its campaign's room, what the
/// limits were, and between which two snapshots a call was allowed.
extension FaultHouse {
    /// Lets the database note all this for campaigns with limits, each change with its transaction.
    func noteRoom() async throws {
        for sql in [
            """
            create table room_log (id bigint generated always as identity, made_by xid8 default pg_current_xact_id(),
                call_id uuid, contact_id uuid, is_open bool, is_counted bool, is_complete bool)
            """,
            """
            create table limit_log (id bigint generated always as identity, made_by xid8 default pg_current_xact_id(),
                campaign_id uuid, name text, value bigint)
            """,
            "alter table call_attempts add column made_by xid8 default pg_current_xact_id()",
            "alter table call_attempts add column room_from text default current_setting('house.room_from', true)",
            "alter table call_attempts add column room_to text default current_setting('house.room_to', true)",
            """
            create function note_call() returns trigger language plpgsql security definer as $$
            begin
                insert into room_log (call_id, contact_id, is_open, is_counted)
                values (new.call_id, new.contact_id, new.ended_at is null, new.counted);
                return null;
            end $$
            """,
            """
            create trigger note_new_call after insert on call_attempts for each row execute function note_call()
            """,
            """
            create trigger note_call after update on call_attempts for each row
            when ((old.ended_at is null, old.counted) is distinct from (new.ended_at is null, new.counted))
            execute function note_call()
            """,
            """
            create function note_contact() returns trigger language plpgsql security definer as $$
            begin
                insert into room_log (contact_id, is_complete)
                values (new.id, new.state = 'completed' or new.state = 'excluded' and new.disposition <= 1);
                return null;
            end $$
            """,
            """
            create trigger note_contact after update on contacts for each row
            when ((old.state, old.disposition) is distinct from (new.state, new.disposition)
                and (new.state in ('completed', 'excluded') or old.state in ('completed', 'excluded')))
            execute function note_contact()
            """,
            """
            create function note_limits() returns trigger language plpgsql security definer as $$
            begin
                insert into limit_log (campaign_id, name, value) values
                    (new.id, 'cap', new.max_concurrent_calls), (new.id, 'rate', new.calls_per_hour),
                    (new.id, 'quota', new.target_completes);
                return null;
            end $$
            """,
            "create trigger note_limits after insert or update on campaigns for each row execute function note_limits()",
            """
            create function note_cell() returns trigger language plpgsql security definer as $$
            begin
                if tg_op = 'DELETE' then
                    insert into limit_log (campaign_id, name, value) values (old.campaign_id, 'cell ' || old.cell, null);
                else
                    insert into limit_log (campaign_id, name, value)
                    values (new.campaign_id, 'cell ' || new.cell, new.target_completes);
                end if;
                return null;
            end $$
            """,
            """
            create trigger note_cell after insert or update or delete on campaign_cells for each row
            execute function note_cell()
            """,
            // What the product decides by lies between the two, under its own lock or without any.
            "alter function campaign_room_in_turn(uuid) rename to room_of_the_product",
            """
            create function campaign_room_in_turn(
                campaign uuid, out calls_at_once bigint, out calls_per_hour bigint, out completes bigint, out cells jsonb
            ) language plpgsql volatile as $$
            begin
                perform set_config('house.room_from', pg_current_snapshot()::text, true);
                select r.calls_at_once, r.calls_per_hour, r.completes, r.cells
                into calls_at_once, calls_per_hour, completes, cells from room_of_the_product(campaign) r;
                perform set_config('house.room_to', pg_current_snapshot()::text, true);
            end $$
            """,
        ] { try await self.client.execute(PostgresStatement(sql, prepared: false)) }
    }

    /// What was noted of campaigns with limits.
    func room() async throws -> Witnesses.Room {
        var room = Witnesses.Room()
        for row in try await self.rows(
            """
            select l.call_id::text, l.contact_id::text, l.made_by::text, l.is_open, l.is_counted, l.is_complete
            from room_log l join contacts c on c.id = l.contact_id
            join campaigns k on k.id = c.campaign_id and k.name like '\(Limits.prefix)%'
            order by l.id
            """
        ) {
            room.places.append(
                Witnesses.Place(
                    transaction: try Self.transaction(row, at: 2),
                    callID: try row.decode(String?.self, at: 0),
                    contactID: try row.decode(String.self, at: 1),
                    isOpen: try row.decode(Bool?.self, at: 3) ?? false,
                    isCounted: try row.decode(Bool?.self, at: 4) ?? false,
                    isComplete: try row.decode(Bool?.self, at: 5) ?? false
                )
            )
        }
        for row in try await self.rows(
            "select campaign_id::text, name, value, made_by::text from limit_log order by id"
        ) {
            room.limits.append(
                Witnesses.Limit(
                    campaignID: try row.decode(String.self, at: 0),
                    name: try row.decode(String.self, at: 1),
                    value: try row.decode(Int?.self, at: 2),
                    transaction: try Self.transaction(row, at: 3)
                )
            )
        }
        for row in try await self.rows(
            """
            select a.call_id::text, a.contact_id::text, a.campaign_id::text, s.cell, a.started_at, a.made_by::text,
                a.room_from, a.room_to
            from call_attempts a
            join campaigns k on k.id = a.campaign_id and k.name like '\(Limits.prefix)%'
            join contacts c on c.id = a.contact_id join campaign_strata s on s.id = c.stratum_id
            """
        ) {
            room.calls.append(
                Witnesses.AllowedCall(
                    callID: try row.decode(String.self, at: 0),
                    contactID: try row.decode(String.self, at: 1),
                    campaignID: try row.decode(String.self, at: 2),
                    cell: try row.decode(String.self, at: 3),
                    startedAt: try row.decode(Date.self, at: 4),
                    transaction: try Self.transaction(row, at: 5),
                    from: try Self.snapshot(row, at: 6),
                    to: try Self.snapshot(row, at: 7)
                )
            )
        }
        return room
    }

    /// Where an erased number still stands.
    func traces(of erased: [String: Date]) async throws -> [String: String] {
        guard !erased.isEmpty else { return [:] }
        var traces: [String: String] = [:]
        let tables = [
            "contacts", "call_attempts", "exclusion_list_entries", "campaign_exclusions", "removed_exclusions",
            "consents",
        ]
        for table in tables {
            let rows = try await self.client.execute(
                PostgresStatement(
                    "select distinct phone_number from \(table) where phone_number = any ($1::text[])",
                    prepared: false
                ),
                [erased.keys.sorted()]
            )
            for row in try rows.map({ $0 }) { traces[try row.decode(String.self, at: 0)] = table }
        }
        return traces
    }
}
