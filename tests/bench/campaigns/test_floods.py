"""The flood campaign, short: one flood that the quotas meet, and a few hundred listeners that come and leave, with Redis."""

from bench.campaigns.attacks.victim import running_victim
from bench.campaigns.floods.__main__ import row, table
from bench.campaigns.floods.campaign import Felt, flood_once
from bench.campaigns.floods.catalogue import FLOODS
from bench.campaigns.floods.leaving import leave_at_once, settings_for
from bench.campaigns.floods.returning import come_at_once
from bench.rig.redis import running_redis
from tests.conftest import FRUGAL, PLAIN_TWISTD, PYTHONPATH, UNTRACED

SLACK = 5.0  # other tests share the processors, so that even CPU time is longer


def test_flood_is_not_felt_and_its_account_is_named(tmp_path):
    environment = {"PYTHONPATH": PYTHONPATH, **FRUGAL, **UNTRACED}
    felt = flood_once(FLOODS["identifiers"], "redis", tmp_path, PLAIN_TWISTD, 0.5, environment, has_quotas=True)
    assert felt.violations(SLACK) == []
    assert 100 <= felt.pushes < 2000  # the burst, and a hundred a second
    assert felt.refused > 0
    assert felt.codes == ["too_many_pushes"]
    assert 0 < felt.redis < felt.redis_bound < 30e6
    assert row(felt).endswith("| `pushes_total`, console, log |")
    assert row(felt) in table([felt])


def test_everything_that_a_flood_must_not_do_is_told():
    felt = Felt(
        FLOODS["pushes"], "redis", has_quotas=True, cpu_p99=0.03, redis=2, redis_bound=1.0, refused=1, log=False
    )
    felt.metric = 1.0, 2.0
    assert len(felt.violations()) == 5


def test_listeners_at_once_are_not_felt_and_few_commands_for_redis(tmp_path):
    environment = {"PYTHONPATH": PYTHONPATH, **FRUGAL, **UNTRACED}
    with running_redis(tmp_path) as redis:
        settings, account = settings_for(redis), "listeners_per_ip = 1000\n"
        with running_victim(tmp_path, PLAIN_TWISTD, environment, settings=settings, account_lines=account) as victim:
            returned = come_at_once(victim, 300)
            left = leave_at_once(victim, redis, 300, 0.5)
    assert left.violations(SLACK) == []
    assert 3 <= left.scripts <= 300 / 2
    assert left.slots == 0
    assert len(left.meanwhile.seconds) > 1
    assert returned.violations(SLACK) == []
    assert len(returned.kept.seconds) > 1
    assert len(returned.fresh.seconds) > 1
