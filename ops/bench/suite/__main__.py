# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""Reads the arguments, runs the benchmarks, reports."""

import argparse
import importlib
import os
import pathlib
import signal
import sys
import time

from .common import Bench, BenchError
from .machine import client_versions, machine
from .report import Report
from .stack import Stack

NAMES = ["limit", "life", "http", "held", "claim", "latency", "data", "upgrade", "clients", "peer"]


def main() -> int:
    """One run of the suite."""
    parser = argparse.ArgumentParser(prog="ops/bench/run")
    parser.add_argument("names", nargs="*", metavar="NAME", help="which benchmarks; all, unless given")
    parser.add_argument("--runs", type=int, help="how often each is run: 5, or 1 with --quick")
    parser.add_argument("--quick", action="store_true", help="small sizes and one run: shows that it works, no more")
    parser.add_argument("--json", type=pathlib.Path, help="where the figures go; .local/bench/NAME-DATE.json")
    parser.add_argument("--compare", type=pathlib.Path, metavar="OLD.json", help="print ratios to an earlier run")
    parser.add_argument("--sizes", help="numbers of contacts for claim, data and upgrade, such as 10000,1000000,10000000")
    parser.add_argument("--list", action="store_true", help="what there is")
    arguments = parser.parse_args()
    modules = {name: importlib.import_module(f".{name}", __package__) for name in NAMES if exists(name)}
    if arguments.list:
        for name, module in modules.items():
            print(f"{name:8}  {module.HELP}")
        return 0
    if unknown := set(arguments.names) - set(modules):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; --list shows them")
    if arguments.compare and not arguments.compare.is_file():
        parser.error(f"{arguments.compare} does not exist")
    names = arguments.names or list(modules)
    report = Report()
    report.fact("machine", machine())
    bench = Bench(
        stack=Stack(f"bench-{os.getpid()}"), report=report, runs=arguments.runs or (1 if arguments.quick else 5),
        is_quick=arguments.quick, sizes=[int(size) for size in arguments.sizes.split(",")] if arguments.sizes else None)
    failed = False
    try:
        bench.stack.up()
        report.fact("versions", {**bench.stack.versions(), **client_versions()})
        report.fact("settings", bench.stack.settings())
        for name in names:
            print(f"\n{name}: {modules[name].HELP}", flush=True)
            try:
                modules[name].measure(bench)
            except BenchError as error:
                print(f"{name}: {error}", file=sys.stderr, flush=True)
                failed = True
            report.show(name)
    finally:
        # A second Ctrl-C must not leave servers behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        bench.stack.down()
    if report.figures:
        date = time.strftime("%Y%m%d-%H%M%S")
        report.write(arguments.json or bench.work / f"{'-'.join(arguments.names) or 'all'}-{date}.json")
        if arguments.compare:
            report.compare(arguments.compare)
    return 1 if failed else 0


def exists(name: str) -> bool:
    """Whether the benchmark's file is there."""
    return (pathlib.Path(__file__).parent / f"{name}.py").is_file()


def stop(_signal: int, _frame: object) -> None:
    """SIGTERM ends the suite as Ctrl-C does."""
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, stop)
try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
except BenchError as error:
    sys.exit(f"ops/bench/run: {error}")
