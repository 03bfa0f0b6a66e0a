# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""The same durable work without our code: what the two servers alone can carry on this machine."""

import json
import os

from .common import BENCH, BUILD, Bench, BenchError, progress, run, run_json

HELP = "our statements and messages from bare libpq and librabbitmq, both at once"
CONTACTS, QUICK = 100_000, 5_000
SOURCES = ["limit.c", "database.c", "broker.c"]
# Found best on two cores; with more, claims and records wait for each other.
CONNECTIONS = 2
# As the sessions of roles have it: `CallStore.sessionSettings`.
SESSION = "-c enable_seqscan=off -c jit=off"


def build() -> str:
    """Compiles the bare program and returns its path."""
    BUILD.mkdir(parents=True, exist_ok=True)
    program = str(BUILD / "limit")
    flags = run(["pkg-config", "--cflags", "--libs", "libpq", "librabbitmq"]).split()
    sources = [str(BENCH / "limit" / name) for name in SOURCES]
    run(["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, *sources, *flags])
    return program


def statements(bench: Bench) -> str:
    """Writes the product's statements, as it prints them itself, to a directory of files."""
    directory = BUILD / "statements"
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in json.loads(run([bench.swift_program("bench-roles"), "statements"])).items():
        (directory / f"{name}.sql").write_text(text)
    return str(directory)


class Limit:
    """The bare program, ready to run."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.program = build()
        self.statements = statements(bench)

    def once(self, part: str, contacts: int) -> float:
        """Calls per second of one part, or of both at once; the tables are checked."""
        stack = self.bench.stack
        campaign = stack.load(self.bench.program, contacts)
        stack.start_campaign(campaign)
        figures = run_json([
            self.program, "--part", part, "--calls", str(contacts), "--campaign", campaign.id,
            "--database-url", stack.database_url, "--amqp-url", stack.amqp_url,
            "--statements", self.statements, "--connections", str(CONNECTIONS)], env={**os.environ, "PGOPTIONS": SESSION})
        if part != "broker":
            stack.check_and_time(campaign)
            events = stack.sql("select count(*) from survey_events where published_at is not null")
            if int(events) != contacts:
                raise BenchError(f"limit: {events} of {contacts} survey events are marked as published")
        return figures["calls_per_second"]


def measure(bench: Bench) -> None:
    """Both at once, then each alone."""
    limit = Limit(bench)
    contacts = bench.pick(CONTACTS, QUICK)
    bench.report.fact("limit", {"contacts": str(contacts), "connections": str(CONNECTIONS), "batch": "500"})
    for turn in range(bench.runs):
        for part, name in [("both", "both"), ("database", "database_alone"), ("broker", "broker_alone")]:
            progress(f"limit: {name}, run {turn + 1} of {bench.runs}")
            bench.report.add(f"limit.{name}", limit.once(part, contacts), "calls/s")
