"""The machine that a measurement was made on."""

import os
import platform
import time
from pathlib import Path


def _fact(file: str, key: str) -> str:
    for line in Path(file).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"


def _system() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")


def facts() -> dict[str, str]:
    """The facts that a reader needs in order to compare two measurements."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M %Z"),
        "processor": f"{os.cpu_count()} x {_fact('/proc/cpuinfo', 'model name')}",
        "memory": f"{int(_fact('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.1f} GiB",
        "kernel": platform.release(),
        "system": _system(),
        "load average at the start": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
