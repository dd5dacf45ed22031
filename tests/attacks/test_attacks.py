"""Every known attack, for a moment each: the bounds of the memory, of the longest turn, and of a good client's latency.

`make attacks` is the long form. Its bounds of the latency are narrower, because nothing else runs beside it.
"""

import pytest

from bench.campaigns.attacks.campaign import carry_out
from bench.campaigns.attacks.catalogue import ATTACKS
from bench.campaigns.attacks.victim import running_victim, running_victim_with_redis
from bench.campaigns.attacks.with_redis import ATTACKS_WITH_REDIS
from tests.conftest import FRUGAL, PLAIN_TWISTD, PYTHONPATH, UNTRACED, assert_clean
from tests.lag import SchedulingLag, waited_for_cpu

# The later ones are for a machine so busy that an attack has hardly begun in the first.
SECONDS = (0.4, 1.0, 2.0)
# Other tests share the processors. Even CPU time is twice as much where two processes share a core.
SLACK = 4.0


ENVIRONMENT = {"PYTHONPATH": PYTHONPATH, **FRUGAL, **UNTRACED}


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("victim")
    with running_victim(folder, PLAIN_TWISTD, ENVIRONMENT) as server:
        yield server
    assert_clean((folder / "server.log").read_text())


@pytest.fixture(scope="module")
def victim_with_redis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("victim_with_redis")
    with running_victim_with_redis(folder, PLAIN_TWISTD, ENVIRONMENT) as server:
        yield server
    assert_clean((folder / "server.log").read_text())


def measure(attack, victim, seconds):
    """The cost of an attack, without the time in which the server or the good client had no core."""
    waited = waited_for_cpu(victim.pid)
    with SchedulingLag() as lag:
        cost = carry_out(attack, victim, seconds)
        cost.p99 -= lag.seconds + waited_for_cpu(victim.pid) - waited
    victim.rest(5)
    return cost


def faults_of(cost):
    """The bounds that an attack exceeds, and what shows that it was none."""
    faults = cost.violations(SLACK)
    if cost.connections < cost.attack.connections:
        faults.append(f"only {cost.connections} connections")
    if not cost.sent and cost.attack.payload(0):
        faults.append("nothing was sent")
    if cost.p50 == float("inf"):
        faults.append("nothing arrived")
    return faults


def carry_out_within_bounds(attack, victim):
    for seconds in SECONDS:
        # Other processes only ever add to a latency. So the least of some measurements is nearest to the server's own.
        cost = measure(attack, victim, seconds)
        faults = faults_of(cost)
        if not faults:
            break
    assert not faults, cost


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_costs_others_no_more_than_its_bounds(victim, name):
    carry_out_within_bounds(ATTACKS[name], victim)


@pytest.mark.parametrize("name", ATTACKS_WITH_REDIS)
def test_attack_with_redis_costs_others_no_more_than_its_bounds(victim_with_redis, name):
    carry_out_within_bounds(ATTACKS_WITH_REDIS[name], victim_with_redis)
