"""Pages of identifiers: which names a page may have, and pages of several sources as one."""

from hypothesis import given
from hypothesis import strategies as st

from cometify.core.identifier_page import (
    AskedNames,
    IdentifierPage,
    IdentifierRow,
    Kept,
    ListenerCount,
    added,
    kept_in,
    merged,
)
from cometify.core.push import Push
from cometify.core.ring import RingBuffer

names = st.text("ab", min_size=1, max_size=3)


@given(st.sets(names), st.text("ab", max_size=2), st.one_of(st.just(""), names))
def test_names_of_a_page_are_behind_after_and_have_the_prefix(found, prefix, after):
    asked = AskedNames(prefix, after, 10)
    from_lowest = sorted(name for name in found if name >= asked.lowest)
    expected = sorted(name for name in found if name.startswith(prefix) and name > after)
    assert [name for name in from_lowest if asked.has(name)] == expected
    first_without = next((at for at, name in enumerate(from_lowest) if not asked.has(name)), len(from_lowest))
    assert first_without == len(expected)


def page_of(figures, make, after, limit):
    """A page of one source, which has a part of the figures."""
    found = sorted(name for name in figures if name > after)
    rows = tuple([make(name, figures[name]) for name in found[:limit]])
    return IdentifierPage(rows, found[limit - 1] if len(found) > limit else None)


def of_redis(name, count):
    return IdentifierRow(name, 0, Kept(count, 10 * count, 7))


def of_node(name, count):
    return IdentifierRow(name, count, Kept())


@given(
    st.dictionaries(names, st.integers(1, 9)),
    st.lists(st.dictionaries(names, st.integers(1, 9)), min_size=1, max_size=3),
    st.integers(1, 5),
)
def test_pages_of_all_sources_make_one_list_without_a_hole(kept, nodes, limit):
    expected = {
        name: IdentifierRow(
            name,
            sum(node.get(name, 0) for node in nodes),
            of_redis(name, kept[name]).kept if name in kept else Kept(),
        )
        for name in {*kept, *(name for node in nodes for name in node)}
    }
    found, after = [], ""
    while after is not None:
        pages = [page_of(kept, of_redis, after, limit), *(page_of(node, of_node, after, limit) for node in nodes)]
        page = merged(pages, limit)
        assert len(page.rows) == limit or page.next is None
        found += page.rows
        after = page.next
    assert found == [expected[name] for name in sorted(expected)]


@given(
    st.lists(st.dictionaries(names, st.integers(1, 9)), min_size=1, max_size=4),
    st.lists(st.integers(1, 5), min_size=4, max_size=4),
    st.integers(1, 5),
)
def test_pages_merged_one_by_one_are_those_merged_at_once(nodes, lengths, limit):
    pages = [page_of(node, of_node, "", length) for node, length in zip(nodes, lengths, strict=False)]
    page = IdentifierPage(())
    for one in pages:
        page = merged([page, one], limit)
    assert page == merged(pages, limit)


def test_short_page_of_one_source_ends_the_page_of_all():
    short = IdentifierPage((of_node("a", 1),), "b")
    assert merged([short, IdentifierPage((of_redis("b", 1), of_redis("c", 1)))], 10) == IdentifierPage(
        (of_node("a", 1), of_redis("b", 1)), "b"
    )


def test_listeners_of_several_nodes_are_added_by_transport():
    count = added([ListenerCount({"websocket": 2}, 1), ListenerCount({"websocket": 1, "later": 1}, 0)])
    assert count == ListenerCount({"websocket": 3, "stream": 0, "events": 0, "poll": 0, "later": 1}, 1)
    assert count.total == 4


def test_ring_is_told_by_its_pushes_bytes_and_newest_position():
    assert kept_in(None) == Kept(0, 0, None)
    ring = RingBuffer.beginning_at(("1", "chat"), 0)
    assert kept_in(ring) == Kept(0, 0, None)
    for position, secret in ((5, True), (7, False)):
        ring.of(secret).append(Push("chat", None, secret, position, b"x" * position), 10, 1000)
    assert kept_in(ring) == Kept(2, 12, 7)
