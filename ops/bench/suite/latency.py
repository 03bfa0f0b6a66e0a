# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""From due to the provider being asked, at parts of what the pipeline carries."""

import statistics

from .common import Bench, progress, run_json
from .life import SHAPES
from .roles import life

HELP = "due to provider asked at 10, 50 and 80 % of saturation, and how much of it comes after the selection tick"
PARTS = [10, 50, 80]
SECONDS = 20
# Between two passes: the wait for a tick is not what is measured.
INTERVAL = 0.05


def saturation(bench: Bench) -> float:
    """What one process with all roles carries: of this run of the suite, or measured now."""
    figure = bench.report.figures.get("life.one_process")
    if figure is not None:
        return statistics.median(figure.values)
    progress("latency: saturation")
    return life(bench, bench.pick(60_000, 5_000), SHAPES["one_process"])["calls_per_second"]


def measure(bench: Bench) -> None:
    """Contacts come due one after the other at a steady rate."""
    full = saturation(bench)
    bench.report.fact("latency", {"saturation": f"{full:.0f} calls/s", "pause between passes": f"{INTERVAL} s"})
    for turn in range(bench.runs):
        for part in PARTS:
            progress(f"latency: {part} %, run {turn + 1} of {bench.runs}")
            rate = full * part / 100
            contacts = int(rate * bench.pick(SECONDS, 3))
            campaign = bench.stack.load(bench.program, contacts)
            bench.stack.sql("update contacts set next_attempt_at = now() + interval '1 day'; vacuum analyze contacts")
            bench.stack.start_campaign(campaign)
            figures = run_json([
                bench.swift_program("bench-roles"), "latency", "--database-url", bench.stack.database_url,
                "--amqp-url", bench.stack.amqp_url, "--rate", f"{rate:.1f}", "--contacts", str(contacts),
                "--interval-seconds", str(INTERVAL)])
            for span in ["due_to_asked", "tick_to_asked"]:
                for percentile in ["p50", "p99", "p999"]:
                    bench.report.add(f"latency.{part}%_{span}_{percentile}", figures[f"{span}_{percentile}_ms"], "ms")
