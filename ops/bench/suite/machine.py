# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""What the figures were measured on."""

import os
import pathlib
import platform
import re

from .common import run


def machine() -> dict[str, str]:
    """Processor, memory, kernel."""
    found = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return {
        "CPU": found.group(1) if found else platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory.group(1)) / 1024 / 1024:.0f} GiB" if memory else "unknown",
        "kernel": platform.release(),
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def client_versions() -> dict[str, str]:
    """Compiler and libraries."""
    found = re.search(r"Swift version ([\d.]+)", run(["swift", "--version"]))
    return {
        "Swift": found.group(1) if found else "unknown",
        "libpq": run(["pkg-config", "--modversion", "libpq"]).strip(),
        "librabbitmq": run(["pkg-config", "--modversion", "librabbitmq"]).strip(),
    }
