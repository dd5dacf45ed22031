"""The pages, the page of an account and the console have the same colours, although each has a style sheet of its own."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHEETS = ("cometify/static/page/page.css", "cometify/static/account/account.css", "js/console/console.css")
_COLOUR = re.compile(r"--([\w-]+):\s*(#[0-9a-f]{3,6});")


def colours(sheet: str) -> dict[tuple[str, str], str]:
    """The colours by their name, in the light and in the dark."""
    light, _, dark = (ROOT / sheet).read_text("utf-8").partition("prefers-color-scheme: dark")
    return {
        (scheme, name): value
        for scheme, text in (("light", light), ("dark", dark))
        for name, value in _COLOUR.findall(text)
    }


def test_colours_of_one_name_are_the_same_in_all_sheets() -> None:
    found = [colours(sheet) for sheet in SHEETS]
    assert all(len(one) >= 16 for one in found)
    for one in found[1:]:
        shared = one.keys() & found[0].keys()
        assert len(shared) >= 14
        assert {name: one[name] for name in shared} == {name: found[0][name] for name in shared}
    both = found[1].keys() & found[2].keys()
    assert {name: found[1][name] for name in both} == {name: found[2][name] for name in both}
