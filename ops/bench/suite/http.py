# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""Complete lives over the provider's REST API and signed webhooks, with the simulator on the same machine."""

import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.request

from .common import Bench, BenchError, processes, progress

HELP = "the same with the simulator's REST API and signed webhooks, all on this machine"
ACCOUNT, TOKEN = "AC0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"
ROLES = ["webhooks", "recorder", "dialer", "selector"]
SCENARIO = {"seed": 1, "outcomes": {"completed": 100}, "ring_seconds": {"min": 0, "max": 0},
            "talk_seconds": {"min": 0, "max": 0}}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(process: "subprocess.Popen[bytes]") -> float:
    """Processor time of a living process."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Waits until it answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise BenchError(f"{url} does not answer")


def measure(bench: Bench) -> None:
    """The five processes of a rehearsal."""
    contacts = bench.pick(30_000, 1_000)
    scenario = bench.work / "instant.json"
    scenario.write_text(json.dumps(SCENARIO))
    bench.report.fact("http", {"contacts": str(contacts), "callbacks": "signed, for each status"})
    for turn in range(bench.runs):
        progress(f"http: run {turn + 1} of {bench.runs}")
        once(bench, contacts, scenario)


def once(bench: Bench, contacts: int, scenario: pathlib.Path) -> None:
    """One campaign."""
    provider, webhooks = free_port(), free_port()
    campaign = bench.stack.load(bench.program, contacts, f"http://127.0.0.1:{provider}/simulator/answer")
    environment = {
        **bench.stack.environment, "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_BASE_URL": f"http://127.0.0.1:{provider}", "WEBHOOK_PUBLIC_URL": f"http://127.0.0.1:{webhooks}",
        "WEBHOOK_PORT": str(webhooks), "WEBHOOK_REQUESTS_AT_ONCE": "10000", "WEBHOOK_REFUSALS_PER_MINUTE": "0",
        "SELECTOR_INTERVAL_SECONDS": "1", "SELECTOR_QUEUE_DEPTH": "5000", "SELECTOR_BATCH_SIZE": "500",
        "DIALER_MAX_CONCURRENT_CALLS": "250", "DIALER_CALLS_PER_SECOND": "10000",
    }
    with processes() as started:
        def start(*arguments: str) -> "subprocess.Popen[bytes]":
            process = subprocess.Popen([bench.program, *arguments], env=environment, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            started.append(process)  # type: ignore[arg-type]
            return process

        simulator = start("provider-simulator", "--port", str(provider), "--account-sid", ACCOUNT, "--auth-token", TOKEN,
                          "--scenario", str(scenario))
        wait_until_ready(f"http://127.0.0.1:{provider}/health", simulator)
        roles = {role: start(role) for role in ROLES}
        bench.stack.wait_for_consumers({"dial.requests.default", "call.events"}, 60)
        before = {name: cpu_seconds(process) for name, process in {**roles, "simulator": simulator}.items()}
        bench.stack.start_campaign(campaign)
        bench.stack.wait_until_final(campaign, 300, started)
        seconds = bench.stack.check_and_time(campaign)
        used = {name: cpu_seconds(process) - before[name]
                for name, process in {**roles, "simulator": simulator}.items()}
    bench.report.add("http.life", contacts / seconds, "calls/s")
    bench.report.add("http.simulator_share", used["simulator"] / (seconds * (os.cpu_count() or 1)) * 100, "% of the machine")
    for name, value in used.items():
        bench.report.add(f"http.{name}_cpu", value / contacts * 1e6, "µs of CPU a call")
