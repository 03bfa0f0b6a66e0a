# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL and RabbitMQ, and campaigns to measure with."""

import json
import os
import subprocess
import time
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import urlsplit

from .common import BENCH, ROOT, BenchError, run

SETTINGS = ["fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size", "checkpoint_timeout"]
MIGRATED = "bench_migrated"


@dataclass
class Campaign:
    """A campaign in the database `call_scheduler` of a stack."""

    id: str
    contacts: int


class Stack:
    """Both servers, durable, on free ports of loopback."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.urls: dict[str, str] = {}

    def up(self) -> None:
        """Starts both."""
        run([f"{ROOT}/ops/stack", "up", "--name", self.name, "--postgresql-conf", f"{BENCH}/postgresql.conf"])
        with open(f"{ROOT}/.local/stack-{self.name}/urls.env") as file:
            self.urls = dict(line.strip().split("=", 1) for line in file if "=" in line)

    def down(self) -> None:
        """Stops both and deletes their data."""
        run([f"{ROOT}/ops/stack", "down", "--name", self.name])

    @property
    def database_url(self) -> str:
        """The product's database."""
        return self.urls["DATABASE_URL"]

    @property
    def amqp_url(self) -> str:
        """The broker."""
        return self.urls["AMQP_URL"]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the product's programs."""
        return {**os.environ, "DATABASE_URL": self.database_url, "AMQP_URL": self.amqp_url, "LOG_LEVEL": "error"}

    def sql(self, text: str, database: str = "call_scheduler") -> str:
        """Runs SQL and returns what it prints, columns separated by `|`."""
        url = urlsplit(self.database_url)
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        command += ["-h", str(url.hostname), "-p", str(url.port), "-U", str(url.username), "-d", database]
        return run(command, input=text).strip()

    def manage(self, method: str, path: str, body: str | None = None) -> object:
        """Asks the broker's management interface."""
        url = urlsplit(self.urls["RABBITMQ_MANAGEMENT_URL"])
        request = urllib.request.Request(
            f"http://{url.hostname}:{url.port}/api/{path}", method=method, data=body.encode() if body else None)
        secret = b64encode(f"{url.username}:{url.password}".encode()).decode()
        request.add_header("authorization", f"Basic {secret}")
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def settings(self) -> dict[str, str]:
        """PostgreSQL's settings that decide the figures."""
        return {name: self.sql(f"show {name}", "postgres") for name in SETTINGS}

    def versions(self) -> dict[str, str]:
        """Of both servers."""
        overview = self.manage("GET", "overview")
        assert isinstance(overview, dict)
        return {
            "PostgreSQL": self.sql("show server_version", "postgres").split()[0],
            "RabbitMQ": overview["rabbitmq_version"],
            "Erlang": overview["erlang_full_version"].split(" [")[0].removeprefix("Erlang/OTP "),
        }

    def reset(self, program: str) -> None:
        """Makes the database anew, with the schema and nothing else, and empties the queues."""
        if not self.sql(f"select 1 from pg_database where datname = '{MIGRATED}'", "postgres"):
            self.sql(f"create database {MIGRATED}", "postgres")
            url = self.database_url.replace("/call_scheduler", f"/{MIGRATED}")
            run([program, "migrate"], env={**self.environment, "DATABASE_URL": url})
        self.sql("drop database if exists call_scheduler with (force)", "postgres")
        self.sql(f"create database call_scheduler template {MIGRATED}", "postgres")
        queues = self.manage("GET", "queues/%2F?columns=name")
        assert isinstance(queues, list)
        for queue in queues:
            self.manage("DELETE", f"queues/%2F/{queue['name']}/contents")

    def load(self, program: str, contacts: int, answer_url: str = "http://127.0.0.1:9/") -> Campaign:
        """Makes the database anew, with one campaign that may call at any time and so many contacts, all due."""
        self.reset(program)
        self.sql(f"""
            insert into campaigns (name, time_zone, caller_id, answer_url, max_attempts, allowed_call_start_local,
                allowed_call_end_local)
            values ('bench', 'UTC', '+15005550006', '{answer_url}', 3, null, null);
            insert into campaign_strata (campaign_id, time_zone, time_zone_source) select id, '', 'campaign' from campaigns;
            insert into campaign_time_zones (campaign_id, time_zone) select campaign_id, time_zone from campaign_strata;
            -- The keys are right by construction: checking each would only take time.
            set session_replication_role = replica;
            insert into contacts (campaign_id, stratum_id, phone_number, next_attempt_at)
            select k.id, s.id, '+888' || lpad(n::text, 9, '0'), now() - interval '1 hour' * random()
            from campaigns k, campaign_strata s, generate_series(1, {contacts}) n;
            set session_replication_role = origin;
            vacuum (freeze, analyze) contacts;
            analyze;
            checkpoint;
        """)
        return Campaign(self.sql("select id from campaigns"), contacts)

    def wait_for_consumers(self, queues: set[str], limit: float) -> None:
        """Waits until each of these queues has a consumer."""
        deadline = time.monotonic() + limit
        while True:
            found = self.manage("GET", "queues/%2F?columns=name,consumers")
            assert isinstance(found, list)
            if queues <= {queue["name"] for queue in found if queue.get("consumers")}:
                return
            if time.monotonic() > deadline:
                raise BenchError(f"nobody consumes from {' and '.join(sorted(queues))} after {limit:.0f} s")
            time.sleep(0.2)

    def start_campaign(self, campaign: Campaign) -> None:
        """Sets the campaign running: from now on its contacts are claimed."""
        self.sql(f"update campaigns set status = 'running', status_changed_at = now() where id = '{campaign.id}'")

    def wait_until_final(self, campaign: Campaign, limit: float, processes: "list[subprocess.Popen[str]]") -> None:
        """Waits until every contact of the campaign is final; `processes` must stay alive meanwhile."""
        deadline = time.monotonic() + limit
        while self.sql("select exists (select from contacts where state in ('pending', 'in_progress'))") == "t":
            if time.monotonic() > deadline:
                states = self.sql("select state, count(*) from contacts group by 1").replace("\n", ", ")
                raise BenchError(f"not every contact is final after {limit:.0f} s: {states}")
            if any(process.poll() is not None for process in processes):
                raise BenchError("a process of the pipeline has ended")
            # The time is taken from the rows: asking often would only take the processor from those who are measured.
            time.sleep(1)

    def check_and_time(self, campaign: Campaign) -> float:
        """Checks one attempt and one end for each contact; returns the seconds from the first claim to the last end."""
        row = self.sql("""
            select (select count(*) from contacts where state in ('completed', 'refused', 'not_reached')),
                count(*), count(distinct contact_id), count(*) filter (where outcome is null),
                -- The claim makes the call_id, a UUID of version 7.
                extract(epoch from max(ended_at)) - ('x' || left(replace(min(call_id::text), '-', ''), 12))::bit(48)::bigint
                    / 1000.0
            from call_attempts""")
        final, attempts, called, without_outcome, seconds = row.split("|")
        counts = [int(final), int(attempts), int(called), int(without_outcome)]
        if counts != [campaign.contacts, campaign.contacts, campaign.contacts, 0]:
            raise BenchError(
                f"{campaign.contacts} contacts: {final} are final, {attempts} attempts, {called} called,"
                f" {without_outcome} without outcome")
        return float(seconds)
