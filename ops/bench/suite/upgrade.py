# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""An upgrade of the largest databases, with roles at work beside it."""

import hashlib
import re
import subprocess
import threading
import time
from urllib.parse import urlsplit

from .common import ROOT, Bench, BenchError, progress
from .stack import Stack

HELP = "migrate 10 M contacts and 20 M attempts from schema 15 to the newest; how long a claim and a record had to wait"
FORMER = 15

# What roles do all the time, in its plainest form, which the former and the newest schema take alike.
CLAIM = """
update contacts set state = 'in_progress', prior_state = 'pending', call_id = uuid_v7(),
    lease_until = now() + interval '5 minutes'
where id = any (array(
    select id from contacts
    where stratum_id = (select min(id) from campaign_strata) and state = 'pending' and next_attempt_at <= now()
    order by next_attempt_at limit 20 for no key update skip locked));
"""
RECORD = """
with claimed as (
    select id, campaign_id, call_id, phone_number from contacts
    where campaign_id = (select id from campaigns) and state = 'in_progress'
    limit 20 for no key update skip locked
), made as (
    insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id, status, ended_at,
        outcome, deadline_at)
    select call_id, id, campaign_id, 3, phone_number, 'bench', 'ended', now(), 'busy', now() from claimed)
update contacts c
set state = 'not_reached', call_id = null, lease_until = null, prior_state = null, last_outcome = 'busy',
    next_attempt_at = now() + interval '1 day'
from claimed where claimed.id = c.id;
"""


class Role(threading.Thread):
    """Runs one statement again and again, as impatient as roles are, and keeps the longest time without success."""

    def __init__(self, stack: Stack, statement: str) -> None:
        super().__init__(daemon=True)
        url = urlsplit(stack.database_url)
        self.statement = statement
        self.longest = 0.0
        self.done = 0
        self.failed = 0
        self.fault = ""
        self.process = subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", "-h", str(url.hostname), "-p", str(url.port), "-U", str(url.username),
             "-d", url.path[1:]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.is_over = threading.Event()

    def ask(self, text: str) -> list[str]:
        """Runs SQL and returns the lines that it prints."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(text + "\n\\echo end\n")
        self.process.stdin.flush()
        lines: list[str] = []
        while (line := self.process.stdout.readline().rstrip("\n")) != "end":
            if not line and self.process.poll() is not None:
                raise BenchError("a role's session has ended")
            lines.append(line)
        return lines

    def run(self) -> None:
        """Until the bench is over."""
        self.ask("set statement_timeout = '60s'; set enable_seqscan = off; set jit = off;")
        last = time.monotonic()
        while not self.is_over.is_set():
            lines = self.ask(self.statement)
            now = time.monotonic()
            self.longest = max(self.longest, now - last)
            if errors := [line for line in lines if line.startswith("ERROR")]:
                self.failed += 1
                if "statement timeout" not in errors[0] and "deadlock" not in errors[0]:
                    self.fault = errors[0]
                    return
            else:
                self.done += 1
                last = now
            self.is_over.wait(0.02)

    def end(self) -> None:
        """Lets it finish its statement."""
        self.is_over.set()
        self.join(120)
        self.process.kill()
        self.process.wait()


def former_schema(stack: Stack) -> None:
    """The schema as it was, remembered as the product remembers it."""
    stack.sql("drop database if exists call_scheduler with (force)", "postgres")
    stack.sql("create database call_scheduler", "postgres")
    stack.sql("""create table schema_migrations (number bigint primary key, name text not null, checksum text not null,
        applied_at timestamptz not null default now())""")
    for file in sorted((ROOT / "Schemas" / "Postgres").glob("0*.sql"))[:FORMER]:
        number, name = file.stem.split("_", 1)
        checksum = hashlib.sha256(file.read_bytes()).hexdigest()
        stack.sql("begin;\n" + file.read_text() + f"""
            ;insert into schema_migrations (number, name, checksum) values ({int(number)}, '{name}', '{checksum}');
            commit;""")


def fill(stack: Stack, contacts: int) -> None:
    """One campaign: a third of its contacts is due, the others have three attempts each, half of them with an interview."""
    stack.sql(f"""
        insert into campaigns (name, time_zone, caller_id, answer_url, max_attempts, allowed_call_start_local,
            allowed_call_end_local, status)
        values ('bench', 'UTC', '+15005550006', 'http://127.0.0.1:9/', 3, null, null, 'running');
        insert into campaign_strata (campaign_id, time_zone, time_zone_source) select id, '', 'campaign' from campaigns;
        insert into campaign_time_zones (campaign_id, time_zone) select campaign_id, time_zone from campaign_strata;
        -- The keys are right by construction: checking each would only take time.
        set session_replication_role = replica;
        insert into contacts (campaign_id, stratum_id, phone_number, state, attempts_count, next_attempt_at)
        select k.id, s.id, '+888' || lpad(n::text, 9, '0'),
            case n % 3 when 0 then 'pending' when 1 then 'not_reached' else 'completed' end,
            case when n % 3 = 0 then 0 else 3 end,
            case when n % 3 = 0 then now() - interval '1 hour' * random() end
        from campaigns k, campaign_strata s, generate_series(1, {contacts}) n;
        insert into call_attempts (call_id, contact_id, campaign_id, attempt_number, phone_number, dialer_id, status,
            started_at, ended_at, outcome, deadline_at)
        select uuid_v7(), c.id, c.campaign_id, a, c.phone_number, 'bench', 'ended', now() - interval '4 days' + a * interval
            '1 day', now(), case when a = 3 and c.state = 'completed' then 'completed' else 'no_answer' end, now()
        from contacts c, generate_series(1, 3) a
        where c.state <> 'pending';
        set session_replication_role = origin;
        vacuum (freeze, analyze) contacts, call_attempts;
        analyze;
        checkpoint;
    """)


def measure(bench: Bench) -> None:
    """From the former schema to the newest."""
    for size in bench.sizes or ([20_000] if bench.is_quick else [10_000_000]):
        for turn in range(bench.runs if size < 1_000_000 else 1):
            progress(f"upgrade: filling a database with {size} contacts, run {turn + 1}")
            former_schema(bench.stack)
            fill(bench.stack, size)
            once(bench, size)


def once(bench: Bench, size: int) -> None:
    """One upgrade."""
    roles = {"claim": Role(bench.stack, CLAIM), "record": Role(bench.stack, RECORD)}
    try:
        for role in roles.values():
            role.start()
        while not all(role.done or role.fault for role in roles.values()):
            time.sleep(0.1)
        for role in roles.values():
            role.longest = 0
        progress("upgrade: migrating")
        start = time.monotonic()
        process = subprocess.run(
            [bench.program, "migrate"], env=bench.stack.environment, stdout=subprocess.PIPE, text=True, check=False)
        seconds = time.monotonic() - start
        time.sleep(1)
    finally:
        for role in roles.values():
            role.end()
    if fault := next((role.fault for role in roles.values() if role.fault), None):
        raise BenchError(f"a role: {fault}")
    if process.returncode != 0:
        raise BenchError(f"migrate has ended with {process.returncode}")
    version = int(bench.stack.sql("select max(number) from schema_migrations"))
    if version <= FORMER:
        raise BenchError("nothing was migrated")
    name = f"upgrade.{size}"
    bench.report.add(f"{name}_seconds", seconds, "s")
    for line in process.stdout.splitlines():
        if match := re.fullmatch(r"applied (\d+) \S+ in (?:(\d+) min )?([\d.]+) s", line):
            bench.report.add(f"{name}_migration_{match[1]}", int(match[2] or 0) * 60 + float(match[3]), "s")
    for kind, role in roles.items():
        bench.report.add(f"{name}_longest_wait_of_a_{kind}", role.longest, "s")
        bench.report.add(f"{name}_{kind}s_ended_by_the_server", role.failed, "times")
