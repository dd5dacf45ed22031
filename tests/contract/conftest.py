"""Every sentence of the wire contract that can be seen from outside, each a test that is named by the promise."""

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import globalLogPublisher

import tests.core.conftest  # noqa: F401 - how long Hypothesis looks
from tests.memory import World


@pytest.fixture(autouse=True)
def _nothing_fails_unseen() -> Iterator[None]:
    """Whatever a test does to a server in memory, no failure is logged."""
    failures: list[Any] = []

    def observe(event: dict[str, Any]) -> None:
        if "log_failure" in event:
            failures.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    yield
    globalLogPublisher.removeObserver(observe)
    assert not failures, failures


@pytest.fixture
def world() -> World:
    return World()
