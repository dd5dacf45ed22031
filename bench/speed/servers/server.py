"""What a server that can be measured is, and where it is started.

How one listens to it and publishes to it is told in the generator's arguments (the top of wsload.c explains them), in
which `{port}`, `{second}`, `{tls}`, `{identifier}` and `{cursor}` are filled in. The ways to listen are `websocket`, `tls`
(the same over TLS), `stream`, `events`, `poll`, `rejoin` (a WebSocket that resumes at a cursor) and `kept` (nobody
listens); a server is measured in the works whose way it has.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
BUILD = HERE / ".build"
PEERS = HERE / ".peers"

Arguments = tuple[str, ...]


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Place:
    """Where a server is started: a folder of its own, its ports, the folder of Cometify's programs.

    `second` is for publishers, where a server wants a port for them; `tls` listens where there is a certificate.
    """

    folder: Path
    port: int
    second: int
    tls: int
    programs: Path
    certificate: Certificate | None = None

    def write(self, name: str, text: str) -> str:
        """Write a file of configuration; returns its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def fill(self, arguments: Arguments, identifier: str, cursor: str = "") -> list[str]:
        """The arguments, with what stands for ports and the like filled in. The generator's own templates stay."""
        values = {"port": self.port, "second": self.second, "tls": self.tls, "identifier": identifier, "cursor": cursor}
        filled = []
        for argument in arguments:
            for name, value in values.items():
                argument = argument.replace(f"{{{name}}}", str(value))  # noqa: PLW2901 - one after the other
            filled.append(argument)
        return filled


@dataclass(frozen=True)
class Server:
    """A server that can be measured.

    `part`: of bench/setup, which installs it; `several`: it has more than one identifier; `cursor`: where it is now, for
    listeners to resume at.
    """

    name: str
    title: str
    version: Callable[[Path], str]
    command: Callable[[Place], list[str]]
    listen: Mapping[str, Arguments]
    publish: Arguments
    needs: tuple[Path, ...] = ()
    part: str = ""
    second: bool = False
    several: bool = False
    environment: Callable[[Place], dict[str, str]] = field(default=lambda _place: {})
    cursor: Callable[[Place], str] = field(default=lambda _place: "")

    def installed(self) -> bool:
        return all(path.exists() for path in self.needs)

    def ports(self, place: Place) -> tuple[int, ...]:
        """The ports that are to be waited for."""
        return (place.port, *([place.second] if self.second else []), *([place.tls] if place.certificate else []))

    def listener_arguments(self, way: str, place: Place, identifier: str, cursor: str = "") -> list[str]:
        return place.fill(("--port", "{port}", *self.listen[way]), identifier, cursor)

    def publisher_arguments(self, place: Place, identifier: str) -> list[str]:
        return place.fill(("--port", "{port}", "--pub-port", "{port}", *self.publish), identifier)
