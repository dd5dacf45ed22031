"""Twisted's own tests of its transports pass over ours, in our turn of the reactor: ours is an ITCPTransport.

Only modules with tests that make connections are run. The tests of twisted.protocols.test.test_tls and
twisted.web.test.test_http, for example, are all in memory and would prove nothing here.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import PYTHONPATH

SUITES = {
    "twisted.test.test_tcp": 30,
    "twisted.internet.test.test_tcp": 120,
    "twisted.internet.test.test_tls": 20,
    "twisted.test.test_ssl": 10,
    "twisted.web.test.test_xmlrpc": 60,
    "twisted.web.test.test_distrib": 10,
    "twisted.mail.test.test_imap": 300,
    "twisted.test.test_ftp": 200,
}
"""Tests of each module that must pass at least. A run that finds no tests, or skips all, proves nothing."""


def trial(folder, transport, *names):
    done = subprocess.run(
        [sys.executable, "-m", "tests.runtime.trial", transport, *names],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def kinds(told):
    """The tests that did not simply pass. Without those of the logging context of a read, which our turn does not make."""
    return {test: kind for test, (kind, _why) in told["others"].items() if not test.endswith(".test_logPrefix")}


@pytest.mark.parametrize("suite", SUITES)
def test_twisteds_own_tests_pass_over_the_eager_transport(suite, tmp_path):
    told = trial(tmp_path, "eager", suite)
    assert told["connections"], "no connection was made through the eager transport"
    assert told["at_once"], "nothing was sent at once"
    assert told["passed"] >= SUITES[suite]
    if kinds(told):  # some tests pass on no transport of this machine
        stock = trial(tmp_path, "stock", *kinds(told))
        assert stock["connections"] == 0
        if kinds(told) != kinds(stock):  # another test of this machine may have had a port that a test wanted
            told = trial(tmp_path, "eager", suite)
        assert kinds(told) == kinds(stock), json.dumps(told["others"], indent=1)
