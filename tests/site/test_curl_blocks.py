"""A server answers the calls of curl in the documents as they stand. tests/browser/test_tutorial.py runs the tutorial."""

import re
import subprocess

import pytest

from tests.site.blocks import BLOCKS
from tests.wire import API_KEY, API_SECRET

PLACES = re.compile(r"https://push\.example\.org|http://localhost:8081")
CALLS = {
    block.where: block.code
    for block in BLOCKS
    if block.language == "sh" and PLACES.search(block.code) and "curl " in block.code and "tutorial" not in block.page
}


def run(code, port):
    """What curl prints. `API_KEY=… API_SECRET='…'` stands for the reader's own."""
    names = f"API_KEY={API_KEY}; API_SECRET='{API_SECRET}'; POSITION=0; TEXT='Hello world!'"
    curl = 'curl() { command curl --silent --show-error --fail-with-body --max-time 20 "$@"; }'
    code = PLACES.sub(f"http://127.0.0.1:{port}", re.sub(r"^API_KEY=\S+ API_SECRET='…'$", "", code, flags=re.MULTILINE))
    return subprocess.run(
        ["sh", "-euc", f"{names}\n{curl}\n{code}"], capture_output=True, text=True, check=False, timeout=60
    )


def test_documents_have_calls_of_curl():
    assert len(CALLS) >= 7


@pytest.mark.parametrize("where", CALLS)
def test_call_of_curl_is_answered(where, server):
    done = run(CALLS[where], server.port)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_wrong_call_of_curl_is_found(server):
    wrong = 'curl -H "Authorization: Bearer $API_SECRET" -d secrets=0 -d text=a "https://push.example.org/$API_KEY/push/chat"'
    assert run(wrong, server.port).returncode == 22
