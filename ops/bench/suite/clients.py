# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""The client modules by themselves, next to the same loops in C."""

import os
import re
import subprocess

from .common import BENCH, BUILD, Bench, BenchError, progress, run, run_json

HELP = "the Postgres and AMQP modules alone, in pairs with the same loops over libpq and librabbitmq"
MODES = {"publish": (100_000, "messages/s"), "consume": (100_000, "messages/s"), "select": (30_000, "statements/s"),
         "insert": (500_000, "rows/s")}
COUNTED = 5_000


def build() -> str:
    """Compiles the bare program and returns its path."""
    BUILD.mkdir(parents=True, exist_ok=True)
    program = str(BUILD / "clients")
    flags = run(["pkg-config", "--cflags", "--libs", "libpq", "librabbitmq"]).split()
    strict = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror"]
    run([*strict, "-o", program, str(BENCH / "clients" / "clients.c"), *flags])
    run([*strict, "-shared", "-fPIC", "-o", str(BUILD / "allocations.so"), str(BENCH / "clients" / "allocations.c")])
    return program


def allocations(program: str, mode: str, url: str, count: int) -> int:
    """What one run allocates in all."""
    done = subprocess.run([program, mode, url, str(count)], env={**os.environ, "LD_PRELOAD": str(BUILD / "allocations.so")},
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    found = re.findall(r"^allocations (\d+)$", done.stderr, re.MULTILINE)
    if done.returncode != 0 or not found:
        raise BenchError(f"{program} {mode}: {done.stderr.strip()[-300:]}")
    return int(found[-1])


def measure(bench: Bench) -> None:
    """C, ours, C, ours: what one publishes it also consumes."""
    programs = {"c": build(), "ours": bench.swift_program("bench-clients")}
    bench.stack.reset(bench.program)
    urls = {mode: bench.stack.amqp_url if mode in ("publish", "consume") else bench.stack.database_url for mode in MODES}
    for turn in range(bench.runs):
        progress(f"clients: run {turn + 1} of {bench.runs}")
        rates: dict[tuple[str, str], float] = {}
        for name, program in programs.items():
            for mode, (count, unit) in MODES.items():
                figures = run_json([program, mode, urls[mode], str(bench.pick(count, count // 10))])
                rates[(name, mode)] = figures["per_second"]
                bench.report.add(f"clients.{mode}_{name}", figures["per_second"], unit)
                bench.report.add(f"clients.{mode}_{name}_cpu", figures["cpu_us"], "µs of CPU each")
        for mode in MODES:
            bench.report.add(f"clients.{mode}_c_to_ours", rates[("c", mode)] / rates[("ours", mode)], "times as fast in C")
    for name, program in programs.items():
        counts = {(mode, part): allocations(program, mode, urls[mode], COUNTED * part) for part in (1, 2) for mode in MODES}
        for mode in MODES:
            # The difference of two sizes is without what a start takes.
            each = (counts[(mode, 2)] - counts[(mode, 1)]) / COUNTED
            bench.report.add(f"clients.{mode}_{name}_allocations", each, "allocations each")
