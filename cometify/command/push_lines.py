"""Pushes and gaps as lines of text, for a person. Control characters are written as escapes."""

import json
from datetime import UTC, datetime

from rich.text import Text

from cometify.command.escapes import escaped
from cometify.command.frames import Frame


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
