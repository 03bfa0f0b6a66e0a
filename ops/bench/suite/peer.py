# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""The same job by others' queues, next to ours."""

from .common import BENCH, Bench, progress, run_json
from .life import SHAPES
from .roles import life

HELP = "the same job with Celery and with Procrastinate, in pairs with life"
PEERS = ["celery", "procrastinate"]


def measure(bench: Bench) -> None:
    """Ours, one peer, ours, the other: each ratio is that of neighbours."""
    ours, theirs = bench.pick(40_000, 3_000), bench.pick(5_000, 600)
    bench.report.fact("peer", {"contacts, ours": str(ours), "contacts, peers": str(theirs)})
    for turn in range(bench.runs):
        for peer in PEERS:
            progress(f"peer: {peer}, run {turn + 1} of {bench.runs}")
            rate = life(bench, ours, SHAPES["three_processes"])["calls_per_second"]
            figures = run_json([
                str(BENCH / "peers" / "run"), "--database-url", bench.stack.database_url, "--amqp-url",
                bench.stack.amqp_url, "--contacts", str(theirs), "--peer", peer])
            bench.report.add("peer.ours", rate, "calls/s")
            bench.report.add(f"peer.{peer}", figures["calls_per_second"], "calls/s")
            bench.report.add(f"peer.ours_to_{peer}", rate / figures["calls_per_second"], "times")
