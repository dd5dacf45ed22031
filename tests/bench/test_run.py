"""The benchmark itself runs: the generator is built, servers are started, measured and ended, the result is written."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.servers import SERVERS
from tests.conftest import PYTHONPATH

RUN = Path(__file__).parent.parent.parent / "bench/run.py"


def bench(*arguments):
    return subprocess.run(
        [sys.executable, RUN, "--bin", Path(sys.executable).parent, *arguments],
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_quick_run_measures_each_server_and_loses_nothing(tmp_path):
    done = bench("--quick", "--servers", "rawfan,cometify", "--works", "fanout-1000", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    answers = {one["server"]: one["answer"] for one in result["measurements"]}
    assert set(answers) == {"rawfan", "cometify"}
    for answer in answers.values():
        assert (answer["lost"], answer["dup"], answer["expected"]) == (0, 0, answer["n"] * 16)
        assert answer["cpu_us_per_delivery"] > 0
    assert {file.name for file in tmp_path.iterdir()} == {"result.json", "result.md", "result.svg"}


def test_what_does_not_exist_is_named_with_what_does():
    done = bench("--servers", "rawfan,nobody")
    assert done.returncode == 1
    assert done.stderr.startswith("no such server: nobody; there are rawfan, cometify,")


def test_the_parts_of_the_setup_are_those_that_the_servers_need():
    assert bench("--servers", "ws,nchan,rawfan", "--parts").stdout.split() == ["debian", "npm"]
    assert set(bench("--parts").stdout.split()) == {server.part for server in SERVERS.values() if server.part}
