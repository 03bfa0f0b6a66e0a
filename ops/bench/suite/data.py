# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""Files in and out, and reports, at the size of the largest campaigns."""

import os
import pathlib
import subprocess
import time

from .common import BENCH, Bench, BenchError, progress

HELP = "import, export and report of 1 M and 10 M contacts: rows/s, seconds and peak memory"


def timed(bench: Bench, *arguments: str) -> tuple[float, float]:
    """Runs the product; returns seconds and the most memory that it used, in MiB."""
    start = time.monotonic()
    process = subprocess.Popen(
        [bench.program, *arguments], env=bench.stack.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    errors = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchError(f"call-scheduler {' '.join(arguments[:2])}: {errors.strip()[-300:]}")
    return time.monotonic() - start, usage.ru_maxrss / 1024


def measure(bench: Bench) -> None:
    """The same file of each size again and again."""
    for size in bench.sizes or ([20_000] if bench.is_quick else [1_000_000, 10_000_000]):
        file = bench.work / f"contacts-{size}.csv"
        export = bench.work / "export.csv"
        with file.open("w") as output:
            subprocess.run([str(BENCH / "make-contacts"), str(size)], stdout=output, check=True)
        # Ten million rows take minutes; the smaller size tells how much runs differ.
        for turn in range(bench.runs if size <= 1_000_000 else 1):
            progress(f"data: {size}, run {turn + 1}")
            bench.stack.reset(bench.program)
            timed(bench, "campaign", "create", "bench", "--time-zone", "Europe/Berlin", "--caller-id", "+15005550006",
                  "--answer-url", "http://127.0.0.1:9/")
            once(bench, size, file, export)
        file.unlink()
        export.unlink(missing_ok=True)


def once(bench: Bench, size: int, file: pathlib.Path, export: pathlib.Path) -> None:
    """One import, export and report."""
    name = f"data.{size}"
    seconds, memory = timed(bench, "contacts", "import", str(file), "--campaign", "bench")
    rows = int(bench.stack.sql("select count(*) from contacts"))
    if rows < size * 0.99:
        raise BenchError(f"data: only {rows} of {size} rows were imported")
    bench.report.add(f"{name}_import", size / seconds, "rows/s")
    bench.report.add(f"{name}_import_memory", memory, "MiB")
    seconds, memory = timed(bench, "campaign", "export", "bench", "--contacts", str(export))
    bench.report.add(f"{name}_export", rows / seconds, "rows/s")
    bench.report.add(f"{name}_export_memory", memory, "MiB")
    for command in ["report", "status"]:
        seconds, memory = timed(bench, *([command, "bench"] if command == "report" else [command]))
        bench.report.add(f"{name}_{command}", seconds, "s")
