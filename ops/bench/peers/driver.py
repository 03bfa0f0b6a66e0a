# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""Runs the peers and counts; see `run`."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
import uuid
from importlib.metadata import version

import psycopg
from psycopg.conninfo import make_conninfo

HERE = pathlib.Path(__file__).resolve().parent
PACKAGES = {"celery": ["celery", "kombu", "psycopg"], "procrastinate": ["procrastinate", "psycopg"]}
# Calls made before the clock starts, so that workers are connected and statements prepared.
WARM_UP = 500
TIME_LIMIT = 300.0


def run(arguments: argparse.Namespace, peer: str) -> None:
    """Makes the calls of one peer, checks the tables, and prints its figures."""
    name = f"bench_peer_{os.getpid()}"
    url = make_conninfo(arguments.database_url, dbname=name)
    environment = {**os.environ, "PEER_DATABASE_URL": url, "PEER_AMQP_URL": arguments.amqp_url, "PEER_QUEUE": name}
    processes: list[subprocess.Popen] = []
    log = (pathlib.Path(arguments.logs) / f"{peer}.log").open("w")

    def start(*words: str, **more: object) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(HERE / f"{peer}_peer.py"), *words], env=environment, cwd=HERE, stdout=log, stderr=log,
            start_new_session=True, **more)

    admin = psycopg.connect(arguments.database_url, autocommit=True)
    admin.execute(f"create database {name}")
    try:
        database = psycopg.connect(url, autocommit=True)
        database.execute((HERE / "schema.sql").read_text())
        campaigns = [(uuid.uuid4(), WARM_UP), (uuid.uuid4(), arguments.contacts)]
        for campaign, contacts in campaigns:
            database.execute(
                "insert into contacts (campaign_id, phone_number, next_attempt_at)"
                " select %s, '+888' || lpad((%s::bigint + n)::text, 10, '0'), now() - interval '1 hour' * random()"
                " from generate_series(1, %s) n", (campaign, 0 if contacts == WARM_UP else 1_000_000_000, contacts))
        database.execute("vacuum (freeze, analyze) contacts")
        database.execute("checkpoint")
        if start("setup").wait() != 0:
            raise SystemExit(f"{peer} cannot be set up; see {log.name}")
        processes += [start("worker", stdin=subprocess.DEVNULL) for _ in range(arguments.workers)]
        claimer = start("claimer", stdin=subprocess.PIPE, text=True)
        processes.append(claimer)
        for campaign, contacts in campaigns:
            begun = database.execute("select clock_timestamp()").fetchone()[0]
            claimer.stdin.write(f"{campaign}\n")
            claimer.stdin.flush()
            wait_until_final(database, campaign, processes, log.name)
            ended, attempts, called = database.execute(
                "select max(ended_at), count(*), count(distinct contact_id) from call_attempts where campaign_id = %s",
                (campaign,)).fetchone()
            if (attempts, called) != (contacts, contacts):
                raise SystemExit(f"{peer}: {contacts} contacts, {attempts} attempts, {called} called")
            seconds = (ended - begun).total_seconds()
        print(json.dumps({
            "peer": peer, "contacts": arguments.contacts, "seconds": round(seconds, 2),
            "calls_per_second": round(arguments.contacts / seconds),
            "versions": {package: version(package) for package in PACKAGES[peer]}}), flush=True)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
        start("clean").wait()
        admin.execute(f"drop database {name} with (force)")


def wait_until_final(
    database: psycopg.Connection, campaign: uuid.UUID, processes: list[subprocess.Popen], log: str
) -> None:
    """Waits until every contact of the campaign is final."""
    deadline = time.monotonic() + TIME_LIMIT
    while database.execute(
        "select exists (select from contacts where campaign_id = %s and state in ('pending', 'in_progress'))",
        (campaign,),
    ).fetchone()[0]:
        if time.monotonic() > deadline:
            raise SystemExit(f"not done in {TIME_LIMIT:.0f} s; see {log}")
        if any(process.poll() is not None for process in processes):
            raise SystemExit(f"a process has ended; see {log}")
        time.sleep(0.1)


def main() -> None:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(prog="ops/bench/peers/run")
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--amqp-url", required=True)
    parser.add_argument("--contacts", type=int, required=True)
    parser.add_argument("--peer", choices=sorted(PACKAGES))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--logs", help=argparse.SUPPRESS, required=True)
    arguments = parser.parse_args()
    for peer in [arguments.peer] if arguments.peer else sorted(PACKAGES):
        run(arguments, peer)


if __name__ == "__main__":
    main()
