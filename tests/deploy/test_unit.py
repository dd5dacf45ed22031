"""The unit for systemd takes away what the process does not need, and nothing that it needs."""

import re
import subprocess
from pathlib import Path

UNIT = Path(__file__).parents[2] / "deploy" / "cometify.service"


def test_exposure_is_below_two():
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Overall exposure level for cometify.service: ([0-9.]+)", report)
    assert found, report
    assert float(found[1]) < 2.0


def test_tls_may_make_its_callbacks():
    """cffi writes callbacks of pyOpenSSL into memory that it runs."""
    settings = [line for line in UNIT.read_text().splitlines() if not line.startswith("#")]
    assert not any(line.startswith("MemoryDenyWriteExecute") for line in settings)
    assert {"Type=notify", "WatchdogSec=30", "TimeoutStartSec=infinity"} <= set(settings)
