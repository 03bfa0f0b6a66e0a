# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: places, processes, and the run that they belong to."""

import json
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .report import Report
    from .stack import Stack

BENCH = pathlib.Path(__file__).resolve().parent.parent
ROOT = BENCH.parent.parent
BUILD = ROOT / ".local" / "bench-build"


class BenchError(Exception):
    """A benchmark cannot go on, or its check has failed."""


def progress(text: str) -> None:
    """Goes to standard error, so that standard output stays free for figures."""
    print(f"… {text}", file=sys.stderr, flush=True)


def run(command: list[str], *, input: str | None = None, env: Mapping[str, str] | None = None) -> str:
    """Runs a program to its end and returns what it prints."""
    done = subprocess.run(command, input=input, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()[-8:]
        raise BenchError(f"{pathlib.Path(command[0]).name} ended with {done.returncode}: " + "\n  ".join(lines))
    return done.stdout


def run_json(command: list[str], *, env: Mapping[str, str] | None = None) -> dict[str, float]:
    """Runs a program whose last line is a JSON object."""
    lines = run(command, env=env).strip().splitlines()
    try:
        value = json.loads(lines[-1])
    except (IndexError, ValueError) as error:
        raise BenchError(f"{pathlib.Path(command[0]).name} has not printed JSON") from error
    return value


@contextmanager
def processes() -> "Iterator[list[subprocess.Popen[str]]]":
    """A list of processes, all of which are ended with the block."""
    started: list[subprocess.Popen[str]] = []
    try:
        yield started
    finally:
        for process in started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass
class Bench:
    """One run of the suite."""

    stack: "Stack"
    report: "Report"
    runs: int
    is_quick: bool
    sizes: list[int] | None = None
    work: pathlib.Path = field(default=ROOT / ".local" / "bench")

    @property
    def program(self) -> str:
        """The product."""
        return str(ROOT / ".build" / "release" / "call-scheduler")

    def pick(self, full: int, quick: int) -> int:
        """The size that fits."""
        return quick if self.is_quick else full

    def swift_program(self, name: str) -> str:
        """A program of the package in ops/bench."""
        path = BENCH / ".build" / "release" / name
        if not path.is_file():
            raise BenchError(f"there is no {name}; build it with: swift build -c release --package-path ops/bench")
        return str(path)
