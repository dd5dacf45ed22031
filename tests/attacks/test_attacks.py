"""Every known attack, for a moment each: the bounds of the memory, of the longest turn, and of a good client's latency.

`make attacks` is the long form. Its bounds of the latency are narrower, because nothing else runs beside it.
"""

import pytest

from bench.campaigns.attacks.campaign import carry_out
from bench.campaigns.attacks.catalogue import ATTACKS
from bench.campaigns.attacks.victim import running_victim
from tests.conftest import FRUGAL, PYTHONPATH, TWISTD, assert_clean
from tests.lag import SchedulingLag, waited_for_cpu

SECONDS = 0.7
# Other tests share the processors. Even CPU time is twice as much where two processes share a core.
SLACK = 5.0


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("victim")
    with running_victim(folder, TWISTD, {"PYTHONPATH": PYTHONPATH, **FRUGAL}) as server:
        yield server
    assert_clean((folder / "server.log").read_text())


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_costs_others_no_more_than_its_bounds(victim, name):
    waited = waited_for_cpu(victim.pid)
    with SchedulingLag() as lag:
        cost = carry_out(ATTACKS[name], victim, SECONDS)
        # The good client and the server wait for a core too. That says nothing about the server.
        cost.p99 -= lag.seconds + waited_for_cpu(victim.pid) - waited
    victim.rest(5)
    assert not cost.violations(SLACK), cost
    assert cost.connections >= cost.attack.connections, cost
    assert cost.sent > 0 or not cost.attack.payload(0), cost
    assert cost.p50 < float("inf"), cost
