# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""What a claim costs at any size of campaign; `ops/bench/claim` by itself prints the plans as well."""

import json
import subprocess
import tempfile

from .common import BENCH, Bench, BenchError, progress

HELP = "one claim of 50 and 500 at 10 k, 1 M and 10 M contacts, in each shape; 10 M next to 1 M"


def measure(bench: Bench) -> None:
    """Runs it on servers of its own."""
    sizes = bench.sizes or ([10_000, 50_000] if bench.is_quick else [10_000, 1_000_000, 10_000_000])
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [str(BENCH / "claim"), "--sizes", ",".join(map(str, sizes)), "--json", file.name]
        command += ["--runs", str(bench.pick(20, 5))]
        progress("claim: " + " ".join(command[1:]))
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                code = process.wait()
            except BaseException:
                # It takes its servers down before it ends.
                process.terminate()
                process.wait()
                raise
        if code != 0:
            raise BenchError("claim has ended with an error")
        results = json.load(file)["results"]
    medians: dict[tuple[str, int, int], float] = {}
    for row in results:
        name = f"{row['shape']}_{row['contacts']}_batch_{row['batch']}"
        for value in row["times"]:
            bench.report.add(f"claim.{name}", value, "ms")
        medians[(row["shape"], row["batch"], row["contacts"])] = row["median"]
    for (shape, batch, contacts), median in medians.items():
        smaller = medians.get((shape, batch, contacts // 10))
        if smaller:
            bench.report.add(f"claim.{shape}_batch_{batch}_growth", median / smaller, f"{contacts} to {contacts // 10}")
