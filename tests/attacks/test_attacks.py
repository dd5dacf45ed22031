"""Every known attack, for a moment each: the bounds of the memory, of the longest turn, and of a good client's latency.

`make attacks` is the long form. Its bounds of the latency are narrower, because nothing else runs beside it.
"""

import pytest

from bench.campaigns.attacks.campaign import carry_out
from bench.campaigns.attacks.catalogue import ATTACKS
from bench.campaigns.attacks.victim import running_victim
from tests.conftest import FRUGAL, PLAIN_TWISTD, PYTHONPATH, UNTRACED, assert_clean
from tests.lag import SchedulingLag, waited_for_cpu

SECONDS = 0.4
# Other tests share the processors. Even CPU time is twice as much where two processes share a core.
SLACK = 4.0
# Other processes only ever add to a latency. So the least of some measurements is nearest to the server's own.
MEASUREMENTS = 3


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("victim")
    with running_victim(folder, PLAIN_TWISTD, {"PYTHONPATH": PYTHONPATH, **FRUGAL, **UNTRACED}) as server:
        yield server
    assert_clean((folder / "server.log").read_text())


def measure(attack, victim):
    """The cost of an attack, without the time in which the server or the good client had no core."""
    waited = waited_for_cpu(victim.pid)
    with SchedulingLag() as lag:
        cost = carry_out(attack, victim, SECONDS)
        cost.p99 -= lag.seconds + waited_for_cpu(victim.pid) - waited
    victim.rest(5)
    return cost


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_costs_others_no_more_than_its_bounds(victim, name):
    attack = ATTACKS[name]
    for _ in range(MEASUREMENTS):
        cost = measure(attack, victim)
        if not cost.violations(SLACK):
            break
    assert not cost.violations(SLACK), cost
    assert cost.connections >= attack.connections, cost
    assert cost.sent > 0 or not attack.payload(0), cost
    assert cost.p50 < float("inf"), cost
