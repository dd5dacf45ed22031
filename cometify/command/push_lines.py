"""Pushes and gaps as lines of text, for a person.

A push can hold control characters, such as those that move the cursor of a terminal or change its title. None of them
reaches the terminal: they are written as escapes.
"""

import json
import re
from datetime import UTC, datetime

from rich.text import Text

from cometify.command.group import Frame

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, separators of lines, characters that change the direction of the text, and halves of pairs."""


def escaped(text: str) -> str:
    r"""Write control characters as escapes, such as \n and \x1b."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escaped_json(text: str) -> str:
    """Write the control characters that JSON allows as escapes of JSON. The meaning stays the same."""
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def line_of(frame: Frame) -> Text:
    """A push or a gap: time, identifier, event and text. The time is local, and that of the position."""
    if frame["type"] == "gap":
        return Text(f"Gap: pushes to {escaped(', '.join(frame['identifiers']))} may be missing here.", style="bold red")
    line = Text(f"{_time(frame['position'])}  ", style="dim")
    line.append(escaped(frame["identifier"]), style="not dim cyan")
    if "event" in frame:
        line.append(f"  {escaped(frame['event'])}", style="not dim magenta")
    text = frame["text"] if "text" in frame else json.dumps(frame["data"], ensure_ascii=False)
    line.append(f"  {escaped(text)}", style="not dim")
    return line


def _time(position: int) -> str:
    moment = datetime.fromtimestamp(position / 1_000_000, UTC).astimezone()
    return moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03}"
