"""The comparison of two forms of Cometify, short: one round of publishing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PYTHONPATH

PROGRAMS = Path(sys.executable).parent


def compare(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "bench.campaigns.compare", "--bin", PROGRAMS, "--quick", "--rounds", "1", *arguments],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("more", [[], ["--against", PROGRAMS, "--unknown", "connections_per_ip,drain"]])
def test_ratio_of_two_forms_is_told(more):
    done = compare("--works", "publish-1", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| publish-1 | CPU per push")]
    for _work, _figure, first, second, ratio, *_range in rows:
        assert float(second) / float(first) == pytest.approx(float(ratio), abs=0.01)
    assert rows


def test_failure_of_one_form_ends_the_campaign_with_1(tmp_path):
    (tmp_path / "twistd").write_text("#!/bin/sh\necho broken\nexit 1\n")
    (tmp_path / "twistd").chmod(0o755)
    done = compare("--works", "publish-1", "--against", tmp_path)
    assert done.returncode == 1
    assert "FAILED: publish-1, cometify: not started: broken" in done.stdout
