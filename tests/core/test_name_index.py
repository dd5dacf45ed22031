"""The order of names is made in steps while names come and go, kept up to date, and forgotten when nobody asks."""

from hypothesis import given
from hypothesis import strategies as st

from cometify.core.position import RETENTION
from cometify.core.retention import AccountRings
from cometify.core.ring import RingBuffer

names = st.text("ab", min_size=1, max_size=3)


def toggle(account_rings, name):
    ring = account_rings.rings.get(name)
    if ring is None:
        account_rings.add(RingBuffer.beginning_at(("1", name), 0))
    else:
        account_rings.remove(ring)


@given(st.lists(st.one_of(names, st.integers(1, 3)), max_size=60))
def test_order_is_that_of_the_rings_while_names_change(steps):
    """A name is a ring that comes or goes; a number is a question that puts so many names in order."""
    account_rings = AccountRings()
    for step in steps:
        if isinstance(step, str):
            toggle(account_rings, step)
            continue
        order = account_rings.names.ask(step)
        if order is not None:
            assert order.starting_at("", 1000) == sorted(account_rings.rings)
    for _ in range(1000):
        order = account_rings.names.ask(1)
        if order is not None:
            break
    assert order.starting_at("", 1000) == sorted(account_rings.rings)


def test_order_is_made_in_bounded_steps():
    account_rings = AccountRings()
    for number in range(1000):
        toggle(account_rings, f"n{number}")
    answers = [account_rings.names.ask(300)]
    toggle(account_rings, "n999")  # it is in none of the names that are still to come
    answers += [account_rings.names.ask(300) for _ in range(3)]
    assert [answer is None for answer in answers] == [True, True, True, False]
    assert answers[-1].starting_at("n998", 5) == ["n998"]


def test_order_is_forgotten_when_nobody_has_asked_for_ten_minutes():
    names = AccountRings().names
    names.expire(0)
    assert names.order is None
    names.ask(5)
    names.expire(10)
    names.ask(5)
    names.expire(20)
    names.expire(20 + RETENTION - 1)
    assert names.order is not None
    names.expire(20 + RETENTION)
    assert names.order is None
