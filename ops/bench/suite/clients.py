# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""The client modules by themselves, next to the same loops in C."""

from .common import BENCH, BUILD, Bench, progress, run, run_json

HELP = "the Postgres and AMQP modules alone, in pairs with the same loops over libpq and librabbitmq"
MODES = {"publish": (100_000, "messages/s"), "consume": (100_000, "messages/s"), "select": (30_000, "statements/s"),
         "insert": (500_000, "rows/s")}


def build() -> str:
    """Compiles the bare program and returns its path."""
    BUILD.mkdir(parents=True, exist_ok=True)
    program = str(BUILD / "clients")
    flags = run(["pkg-config", "--cflags", "--libs", "libpq", "librabbitmq"]).split()
    run(["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, str(BENCH / "clients" / "clients.c"),
         *flags])
    return program


def measure(bench: Bench) -> None:
    """C, ours, C, ours: what one publishes it also consumes."""
    programs = {"c": build(), "ours": bench.swift_program("bench-clients")}
    bench.stack.reset(bench.program)
    for turn in range(bench.runs):
        progress(f"clients: run {turn + 1} of {bench.runs}")
        rates: dict[tuple[str, str], float] = {}
        for name, program in programs.items():
            for mode, (count, unit) in MODES.items():
                url = bench.stack.amqp_url if mode in ("publish", "consume") else bench.stack.database_url
                figures = run_json([program, mode, url, str(bench.pick(count, count // 10))])
                rates[(name, mode)] = figures["per_second"]
                bench.report.add(f"clients.{mode}_{name}", figures["per_second"], unit)
                bench.report.add(f"clients.{mode}_{name}_cpu", figures["cpu_us"], "µs of CPU each")
        for mode in MODES:
            bench.report.add(f"clients.{mode}_c_to_ours", rates[("c", mode)] / rates[("ours", mode)], "times as fast in C")
