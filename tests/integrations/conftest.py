"""The ways in which the tests ask the real server."""

import pytest

from cometify.client import Cometify
from tests.integrations.guides import url_of


@pytest.fixture
def url(server):
    """The URL of the account."""
    return url_of(server)


@pytest.fixture
def client(url):
    with Cometify.from_url(url, timeout=20) as client:
        yield client


@pytest.fixture
def texts(client):
    """texts(): the texts that were pushed to `chat` during this test."""
    since = client.position()
    return lambda: [push.text for push in client.pushes("chat", after=since).pushes]


@pytest.fixture
def heard(server):
    """heard(identifier, position, **rights): the pushes that a listener gets from there on."""

    def poll(identifier, position, **rights):
        listen = {"groups": [{"identifiers": [identifier], "position": position, **rights}]}
        return [frame for frame in server.poll(listen).frames if frame["type"] == "push"]

    return poll


@pytest.fixture
def rights_of(server):
    """rights_of(token, identifier): the identifiers whose secret pushes the server gives to this token."""

    def poll(token, identifier):
        return server.poll({"groups": [{"identifiers": [identifier], "token": token}]}).frames[0].get("secret")

    return poll
