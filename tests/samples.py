"""Values that the tests of several rooms share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from cometify.core.errors import Refused

VECTORS = Path(__file__).resolve().parent.parent / "protocol" / "vectors"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
"""Everything that JSON can say, half a surrogate pair as well."""


def vectors(name: str) -> Any:
    """Read protocol/vectors/{name}.json, the cases that the client's tests and ours have in common."""
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


def refusal(call: Callable[..., object], *arguments: object) -> Refused:
    """The refusal that a call raises."""
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value
