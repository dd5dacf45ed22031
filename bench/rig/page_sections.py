"""Sections of pages in docs/ that a measurement writes."""

import re


def fill_section(page: str, name: str, text: str) -> str:
    """Replace what stands between `<!-- name -->` and `<!-- end -->`. Raises SystemExit if the page has no such section."""
    page, found = re.subn(
        rf"(<!-- {name}\b[^>]*-->\n).*?(<!-- end -->)",
        lambda m: f"{m[1]}{text}\n{m[2]}",
        page,
        count=1,
        flags=re.DOTALL,
    )
    if not found:
        raise SystemExit(f"the page has no place for its {name}: add <!-- {name} --> and <!-- end -->")
    return page
