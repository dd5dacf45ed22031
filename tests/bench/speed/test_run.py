"""A run of the benchmark: the generator is built, servers are started, measured and ended, the result is written."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.speed.servers import SERVERS
from tests.conftest import PYTHONPATH


def bench(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "bench.speed", "--bin", Path(sys.executable).parent, *arguments],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_quick_run_measures_each_server_and_loses_nothing(tmp_path):
    done = bench("--quick", "--servers", "rawfan,cometify", "--works", "fanout-1000", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    answers = {one["server"]: one["answer"] for one in result["measurements"]}
    assert set(answers) == {"rawfan", "cometify"}
    for answer in answers.values():
        assert (answer["lost"], answer["dup"], answer["expected"]) == (0, 0, answer["n"] * 16)
        assert answer["cpu_us_per_delivery"] > 0
    assert {file.name for file in tmp_path.iterdir()} == {"result.json", "result.md", "result.svg"}


def test_server_that_does_not_start_is_left_out(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    (programs / "twistd").write_text("#!/bin/sh\necho broken\nexit 1\n")
    (programs / "twistd").chmod(0o755)
    works = ["fanout-1000", "saturation-8", "publish-1", "publish-16"]
    done = bench(
        "--quick", "--servers", "rawfan,cometify", "--works", ",".join(works), "--out", tmp_path, "--bin", programs
    )
    assert done.returncode == 1
    measured = json.loads((tmp_path / "result.json").read_text())["measurements"]
    assert [one["failure"][:11] for one in measured if one["server"] == "cometify"] == ["not started"] * 3 + [
        "left out: i"
    ]
    assert [one["work"] for one in measured if one["answer"]] == works


def test_unknown_server_is_refused_with_the_known_ones():
    done = bench("--servers", "rawfan,nobody")
    assert done.returncode == 1
    assert done.stderr.startswith("no such server: nobody; there are rawfan, cometify,")


def test_parts_of_setup_are_those_that_servers_need():
    assert bench("--servers", "ws,nchan,rawfan", "--parts").stdout.split() == ["debian", "npm"]
    assert set(bench("--parts").stdout.split()) == {
        server.setup_part for server in SERVERS.values() if server.setup_part
    }
