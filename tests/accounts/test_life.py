"""Accounts that come, change and go: a model in memory says what every node must know."""

import secrets as randomness
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cometify.config.redis_url import RedisURL
from cometify.core.account import Account
from cometify.core.errors import Refused
from tests.accounts.nodes import Node

EXAMPLES = max(6, settings.default.max_examples // 4)
"""Fewer than usual, because each step writes to a disk, or waits for Redis."""
KEYS = ("one", "two", "three")
NODES = st.integers(0, 1)
NAMES = st.sampled_from(KEYS)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "listeners": st.integers(1, 99),
        "signatures": st.sampled_from(["any", "v2"]),
        "private": st.just(["a_*"]),
    },
)


class Life(RuleBasedStateMachine):
    """Two nodes change the accounts, in turn. `model`: what is kept."""

    place: ClassVar[Path | RedisURL]
    clear: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        type(self).clear()
        self.nodes = [Node(self.place), Node(self.place)]
        self.model: dict[str, Account] = {}

    def attempt(self, is_allowed: bool, call: Any) -> Any:
        """Do it, and see that it is refused exactly if it must be."""
        try:
            result = call()
        except Refused:
            assert not is_allowed
            return None
        assert is_allowed
        return result

    @rule(number=NODES, key=NAMES, values=SETTINGS, must_be_new=st.booleans())
    def put(self, number: int, key: str, values: dict[str, Any], must_be_new: bool) -> None:
        known = self.model.get(key)
        done = self.attempt(
            not (must_be_new and known), lambda: self.nodes[number].put(key, must_be_new=must_be_new, **values)
        )
        if done is not None:
            record, made = done
            assert (made is None) == (known is not None)
            secrets = (made,) if known is None else known.api_secrets
            assert record.api_secrets == secrets
            self.model[key] = Account(
                key, secrets, suspended=known is not None and known.suspended,
                **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()},
            )  # fmt: skip

    @rule(number=NODES, key=NAMES)
    def put_a_wrong_value(self, number: int, key: str) -> None:
        self.attempt(False, lambda: self.nodes[number].put(key, listeners=0))

    @rule(number=NODES, key=NAMES)
    def rotate(self, number: int, key: str) -> None:
        known, node = self.model.get(key), self.nodes[number]
        is_allowed = known is not None and len(known.api_secrets) == 1
        done = self.attempt(is_allowed, lambda: node.wait(lambda: node.editor.rotate(key, "a test")))
        if done is not None and known is not None:
            self.model[key] = attrs.evolve(known, api_secrets=(done[1], *known.api_secrets))

    @rule(number=NODES, key=NAMES, which=st.sampled_from(["old", "new"]))
    def retire(self, number: int, key: str, which: str) -> None:
        known, node = self.model.get(key), self.nodes[number]
        is_allowed = known is not None and len(known.api_secrets) == 2
        self.attempt(is_allowed, lambda: node.wait(lambda: node.editor.retire(key, which, "a test")))
        if is_allowed and known is not None:
            self.model[key] = attrs.evolve(known, api_secrets=(known.api_secrets[which == "new"],))

    @rule(number=NODES, key=NAMES, suspended=st.booleans())
    def suspend(self, number: int, key: str, suspended: bool) -> None:
        known, node = self.model.get(key), self.nodes[number]
        self.attempt(
            known is not None, lambda: node.wait(lambda: node.editor.suspend(key, "a test", is_suspended=suspended))
        )
        if known is not None:
            self.model[key] = attrs.evolve(known, suspended=suspended)

    @rule(number=NODES, key=NAMES)
    def remove(self, number: int, key: str) -> None:
        node = self.nodes[number]
        self.attempt(key in self.model, lambda: node.wait(lambda: node.editor.remove(key, "a test")))
        self.model.pop(key, None)

    @rule(number=NODES)
    def start_again(self, number: int) -> None:
        self.nodes[number].stop()
        self.nodes[number] = Node(self.place)

    @invariant()
    def every_node_knows_what_is_kept(self) -> None:
        for node in self.nodes:
            node.look()
            assert {account.api_key: account for account in node.accounts} == self.model
        assert self.nodes[0].accounts.hash() == self.nodes[1].accounts.hash()

    def teardown(self) -> None:
        for node in self.nodes:
            node.stop()


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_every_node_knows_what_the_model_says(kind, request):
    folder = Path(tempfile.mkdtemp())

    class OnThisPlace(Life):
        if kind == "sqlite":
            place = folder / "accounts.db"

            @staticmethod
            def clear():
                Life.place = OnThisPlace.place = folder / f"{randomness.token_hex(8)}.db"
        else:
            redis = request.getfixturevalue("redis")
            place = RedisURL(path=redis.path)

            @staticmethod
            def clear():
                OnThisPlace.redis.command("FLUSHALL")

    try:
        run_state_machine_as_test(OnThisPlace, settings=settings(max_examples=EXAMPLES, stateful_step_count=20))
    finally:
        shutil.rmtree(folder)
