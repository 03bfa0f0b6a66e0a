# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""Complete lives of calls per second, next to what the servers alone can carry."""

from .common import Bench, progress
from .limit import CONTACTS, QUICK, Limit
from .roles import ROLES, life

HELP = "claim, publish, consume, attempt, provider, event, record, ack: in pairs with limit"
SHAPES = {"three_processes": [[role] for role in ROLES], "one_process": [ROLES]}


def measure(bench: Bench) -> None:
    """Limit, life, limit, life…: the machine's speed drifts, so each ratio is that of neighbours."""
    limit = Limit(bench)
    contacts = bench.pick(CONTACTS, QUICK)
    bench.report.fact("life", {"contacts": str(contacts)})
    for turn in range(bench.runs):
        for shape, groups in SHAPES.items():
            progress(f"life: {shape}, run {turn + 1} of {bench.runs}")
            bound = limit.once("both", contacts)
            figures = life(bench, contacts, groups)
            bench.report.add("life.limit", bound, "calls/s")
            bench.report.add(f"life.{shape}", figures["calls_per_second"], "calls/s")
            bench.report.add(f"life.{shape}_of_limit", figures["calls_per_second"] / bound, "of limit")
            bench.report.add(f"life.{shape}_cpu", figures["cpu_us_per_call"], "µs of CPU a call")
            bench.report.add(f"life.{shape}_memory", figures["max_rss_mib"], "MiB")
