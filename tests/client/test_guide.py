"""The code of docs/python.md, run as it stands, with a URL of a real server."""

import asyncio
import logging
import re
from pathlib import Path

import pytest

from cometify.client import Cometify, MaybePushed
from tests.wire import API_KEY, API_SECRET, secure_key

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "python.md"


@pytest.fixture
def guide(server, monkeypatch):
    """The blocks of the guide, run one after another. Returns the names that they define."""
    url = f"http://{API_KEY}:{API_SECRET}@127.0.0.1:{server.port}"
    monkeypatch.setenv("COMETIFY_URL", url)
    names = {"order": {"id": 7}, "push_later": print, "log": logging.getLogger("guide")}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL):
        exec(block.replace("https://KEY:SECRET@push.example.org", url), names)  # noqa: S102 - it is our own
    yield names
    names["cometify"].close()


def frames(server, identifier):
    listen = {"groups": [{"identifiers": {identifier: 0}, "secureKey": secure_key(identifier)}]}
    return [frame for frame in server.poll(listen).frames if frame["type"] == "push"]


def test_blocks_of_the_guide_push(server, guide):
    assert [frame["text"] for frame in frames(server, "guestbook")] == ["Hello world!"]
    one, two = frames(server, "orders")
    assert (one["data"], one["event"], one["push_id"]) == ({"id": 7, "state": "paid"}, "paid", 7)
    assert two["data"] == {"id": 7}
    assert guide["pushed"].push_id == 7
    assert guide["MaybePushed"] is MaybePushed
    asyncio.run(guide["push"]())
    assert len(frames(server, "guestbook")) == 2
    assert callable(guide["push_soon"])


def test_guide_names_every_method():
    names = [name for name in dir(Cometify) if not name.startswith("_")]
    shown = {name: f"{name}(" if callable(getattr(Cometify, name)) else f"`{name}`" for name in names}
    text = GUIDE.read_text("utf-8")
    assert [name for name in names if shown[name] not in text] == []
