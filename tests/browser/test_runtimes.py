"""The built module in Node. Bun and Deno are tried by hand with the same script: see js/DEVELOPING.md."""

import subprocess
from pathlib import Path

from tests.browser.engine import find
from tests.conftest import Server
from tests.wire import API_KEY, API_SECRET


def test_module_hears_pushes_in_node_and_ends(server: Server):
    script = next(found for up in Path(__file__).parents if (found := up / "js/scripts/smoke.mjs").exists())
    command = [find("nodejs", "node"), str(script), f"http://127.0.0.1:{server.port}", API_KEY, API_SECRET]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["stream: heard", "poll: heard"]
