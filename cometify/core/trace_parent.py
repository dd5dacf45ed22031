"""The header `traceparent` (W3C Trace Context, section 3.2): the trace that a request belongs to."""

import re

import attrs

_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1
"""The flag of a trace that its beginner records."""


@attrs.frozen
class TraceParent:
    """The span that caused a request. `is_sampled`: whoever began the trace records it."""

    trace_id: int
    span_id: int
    is_sampled: bool


def read_trace_parent(value: str | None) -> TraceParent | None:
    """Read the header. Returns None if there is none, or it is invalid: a trace begins here then, as the standard says."""
    found = None if value is None else _HEADER.fullmatch(value)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    # A later version may have more fields. The standard rules ff out.
    if version == "ff" or (version == "00" and more is not None):
        return None
    parent = TraceParent(int(trace_id, 16), int(span_id, 16), bool(int(flags, 16) & _SAMPLED))
    return parent if parent.trace_id and parent.span_id else None
