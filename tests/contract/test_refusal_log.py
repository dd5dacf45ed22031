"""The log tells which account is refused, with which code and how often, and nothing that must stay secret."""

from collections.abc import Iterator

import pytest
from twisted.logger import formatEvent, globalLogPublisher

from cometify.core.account import Account
from tests.memory import World
from tests.wire import API_KEY, API_SECRET

ABOUT = f"Account {API_KEY}: "


@pytest.fixture
def lines() -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event):
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


def push_wrongly(world: World, times: int) -> None:
    for number in range(times):
        body = f"text=a text {number}&secret=0&secure=0123456789abcdef".encode()
        wire = world.request("POST", f"/{API_KEY}/push/chat", body, Content_Type="application/x-www-form-urlencoded")
        assert wire.answer().status == 403


def about(lines: list[str]) -> list[str]:
    return [line.removeprefix(ABOUT) for line in lines if line.startswith(ABOUT)]


def test_refusals_are_told_once_a_minute_with_their_number(world, lines):
    push_wrongly(world, 21)
    world.advance(5)
    assert about(lines) == ["21 refused with not_authorized since the last such line"]
    push_wrongly(world, 2)
    world.advance(40)
    assert len(about(lines)) == 1
    world.advance(21)
    assert about(lines)[1:] == ["2 refused with not_authorized since the last such line"]
    world.advance(120)
    assert len(about(lines)) == 2
    assert not [line for line in lines if API_SECRET in line or "a text" in line or "0123456789abcdef" in line]


def test_each_code_has_its_own_line(lines):
    world = World(Account(API_KEY, (API_SECRET,), listeners_per_ip=1))
    push_wrongly(world, 1)
    for name in ("one", "two", "three"):
        world.websocket("identifiers=chat&listener=" + name.ljust(16, "x"))
    world.advance(6)
    assert sorted(about(lines)) == [
        "1 refused with not_authorized since the last such line",
        "2 refused with too_many_listeners since the last such line",
    ]


def test_unknown_api_keys_are_not_told(world, lines):
    world.push("chat", "x", key="nobodys")
    world.advance(6)
    assert not [line for line in lines if "nobodys" in line]


def test_listener_that_is_replaced_is_no_refusal(world, lines):
    for _ in range(2):
        world.websocket("identifiers=chat&listener=0123456789abcdef")
    world.advance(6)
    assert about(lines) == []


def test_many_accounts_are_told_some_at_a_time(lines):
    world = World(*(Account(f"{number}", (API_SECRET,)) for number in range(30)))
    for number in range(30):
        world.push("chat", "x", key=f"{number}")  # signed with the right secret
        world.stream("identifiers=a!", key=f"{number}")
    world.advance(5)
    assert len([line for line in lines if "invalid_identifier" in line]) == 20
    world.advance(5)
    assert len([line for line in lines if "invalid_identifier" in line]) == 30
