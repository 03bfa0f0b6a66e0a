# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""Ten thousand live calls in one Dialer."""

import json
import subprocess

from .common import Bench, BenchError, processes, progress

HELP = "10,000 live calls held by one Dialer for a minute: memory, idle CPU, and how long they take to end"
UNITS = {
    "kib_per_call": "KiB a call above an idle Dialer", "held_rss_kib": "KiB in all", "idle_cpu_percent": "% of a core",
    "end_seconds": "s until all have ended", "reconnects": "connections lost",
}


def measure(bench: Bench) -> None:
    """A Dialer by itself, with Selector and Recorder beside it."""
    calls, seconds = bench.pick(10_000, 500), bench.pick(60, 5)
    bench.report.fact("held", {"calls": str(calls), "held for": f"{seconds} s"})
    program = bench.swift_program("bench-roles")
    servers = ["--database-url", bench.stack.database_url, "--amqp-url", bench.stack.amqp_url]
    for turn in range(bench.runs):
        progress(f"held: run {turn + 1} of {bench.runs}")
        campaign = bench.stack.load(bench.program, calls)
        with processes() as started:
            command = [program, "held", *servers, "--calls", str(calls), "--seconds", str(seconds)]
            dialer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            started.append(dialer)
            assert dialer.stderr is not None
            while dialer.stderr.readline().strip() != "ready":
                if dialer.poll() is not None:
                    raise BenchError("bench-roles held has ended before it was ready")
            for role in ["selector", "recorder"]:
                started.append(subprocess.Popen(
                    [program, "run", "--roles", role, *servers], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            bench.stack.start_campaign(campaign)
            output, errors = dialer.communicate(timeout=600)
            if dialer.returncode != 0:
                raise BenchError(f"bench-roles held: {errors.strip()[-300:]}")
            figures = json.loads(output.strip().splitlines()[-1])
            bench.stack.wait_until_final(campaign, 60, [])
        bench.stack.check_and_time(campaign)
        if figures["answered"] != calls:
            raise BenchError(f"held: only {figures['answered']} of {calls} answers were applied")
        for name, unit in UNITS.items():
            bench.report.add(f"held.{name}", figures[name], unit)
