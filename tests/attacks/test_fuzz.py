"""Some thousand odd inputs against a running server: nothing breaks, nothing hangs, nothing is told, a good client is served.

`make fuzz` is the long form, with a million inputs and narrower bounds.
"""

import time

from bench.campaigns.fuzz.campaign import Bounds, Part, run
from bench.campaigns.fuzz.inputs import KINDS
from bench.campaigns.fuzz.target import running_target
from tests.conftest import FRUGAL, PYTHONPATH, TWISTD

INPUTS = 3000
SEED = 20
# Other tests share the processors. The server's turns are measured in CPU time, which does not depend on them.
BOUNDS = Bounds(p99=1.5, longest=10.0)


def test_odd_inputs_break_nothing_and_hold_up_nobody(tmp_path):
    part = Part(SEED, int(time.time()), 0, INPUTS, patient=False)
    with running_target(tmp_path, TWISTD, {"PYTHONPATH": PYTHONPATH, **FRUGAL}) as server:
        verdict = run(part, server)
    assert not verdict.violations(BOUNDS), verdict.tally.faults
    assert sum(verdict.tally.kinds.values()) == INPUTS
    assert set(verdict.tally.kinds) == set(KINDS)
    assert {"200", "101", "400 invalid_body", "403 not_authorized", "frame ready"} <= set(verdict.tally.outcomes)
