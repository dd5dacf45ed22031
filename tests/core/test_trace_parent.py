"""The header traceparent, by the rules of W3C Trace Context."""

import pytest

from cometify.core.trace_parent import TraceParent, read_trace_parent

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def parent(*, is_sampled):
    return TraceParent(int(TRACE, 16), int(SPAN, 16), is_sampled)


@pytest.mark.parametrize(
    ("flags", "is_sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)
def test_first_flag_tells_if_the_trace_is_recorded(flags, is_sampled):
    assert read_trace_parent(f"00-{TRACE}-{SPAN}-{flags}") == parent(is_sampled=is_sampled)


def test_later_version_may_have_more_fields():
    assert read_trace_parent(f"01-{TRACE}-{SPAN}-01-more") == parent(is_sampled=True)
    assert read_trace_parent(f"01-{TRACE}-{SPAN}-01") == parent(is_sampled=True)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"01-{TRACE}-{SPAN}-01more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-\u0660\u0661",
    ],
)
def test_anything_else_is_no_parent(value):
    assert read_trace_parent(value) is None
