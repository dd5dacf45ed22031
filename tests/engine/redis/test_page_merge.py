"""Pages of many nodes become one page in steps, because each node sends up to a thousand names."""

import json

import pytest

from cometify.core.identifier_page import IdentifierPage, IdentifierRow, Kept
from cometify.engine.redis import page_merge
from cometify.engine.redis.page_merge import PageMerge
from tests.delivery.loop import Loop

KEPT = IdentifierPage((IdentifierRow("b", 0, Kept(1, 10, 7)),))


def answer(*names):
    return json.dumps([[[name, 1] for name in names], None]).encode()


@pytest.fixture
def merges(monkeypatch):
    """The sizes of all merged pages."""
    found = []

    def counted(pages, limit):
        found.append([len(page.rows) for page in pages])
        return merged(pages, limit)

    merged = page_merge.merged
    monkeypatch.setattr(page_merge, "merged", counted)
    return found


def test_each_turn_merges_the_page_of_one_node(merges):
    loop, limit, nodes = Loop(), 10, 40
    pages = PageMerge(loop.later)
    answers = [answer(*(f"n{node:02}_{name}" for name in range(limit))) for node in range(nodes)]
    asked = [pages.merge(KEPT, answers, limit) for _ in range(2)]
    while loop.due:
        before = len(merges)
        loop.turn()
        assert len(merges) - before <= 1
    assert len(merges) == 2 * nodes
    assert max(map(sum, merges)) <= 2 * limit, "the merged page grows with the nodes"
    for one in asked:
        page = one.result
        assert [row.identifier for row in page.rows] == ["b", *(f"n00_{name}" for name in range(limit - 1))]
        assert page.next == "n00_8"


def test_listeners_of_all_nodes_are_added():
    loop = Loop()
    page = PageMerge(loop.later).merge(KEPT, [answer("a", "b"), answer("b")], 10)
    loop.turns()
    assert page.result == IdentifierPage((IdentifierRow("a", 1, Kept()), IdentifierRow("b", 2, Kept(1, 10, 7))))


def test_answer_that_makes_no_sense_fails_the_page_alone():
    loop = Loop()
    pages = PageMerge(loop.later)
    broken, whole = pages.merge(KEPT, [b"?", answer("a")], 10), pages.merge(KEPT, [answer("a")], 10)
    failures = []
    broken.addErrback(failures.append)
    loop.turns()
    assert failures[0].check(ValueError)
    assert len(whole.result.rows) == 2
