# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""Selector, Dialer and Recorder as they are, with a provider in their own process that answers at once."""

import json
import signal
import subprocess

from .common import Bench, BenchError, processes

ROLES = ["selector", "dialer", "recorder"]
TIME_LIMIT = 600.0


def life(bench: Bench, contacts: int, groups: list[list[str]]) -> dict[str, float]:
    """Complete lives of so many calls, with one process for each group of roles; the tables are checked."""
    stack = bench.stack
    campaign = stack.load(bench.program, contacts)
    program = bench.swift_program("bench-roles")
    with processes() as started:
        for roles in groups:
            command = [program, "run", "--roles", ",".join(roles)]
            command += ["--database-url", stack.database_url, "--amqp-url", stack.amqp_url]
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
        wait_for_consumers(bench, groups)
        stack.start_campaign(campaign)
        stack.wait_until_final(campaign, TIME_LIMIT, started)
        seconds = stack.check_and_time(campaign)
        figures = [finished(process) for process in started]
    return {
        "calls_per_second": contacts / seconds,
        "cpu_us_per_call": sum(figure["cpu_seconds"] for figure in figures) / contacts * 1e6,
        "max_rss_mib": sum(figure["max_rss_kib"] for figure in figures) / 1024,
    }


def wait_for_consumers(bench: Bench, groups: list[list[str]]) -> None:
    """The clock must not run while processes start: waits until dialers and recorders consume."""
    roles = [role for group in groups for role in group]
    queues = {"dialer": "dial.requests.default", "recorder": "call.events"}
    wanted = {queues[role] for role in roles if role in queues}
    bench.stack.wait_for_consumers(wanted, 60)


def finished(process: "subprocess.Popen[str]") -> dict[str, float]:
    """Ends a process of `bench-roles` and reads its line."""
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    try:
        return json.loads(output.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise BenchError(f"bench-roles ended with {process.returncode} and printed no JSON") from error
