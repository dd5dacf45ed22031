"""A server that can be measured, and the workspace that it is started in.

The ways to listen and to publish are arguments of the load generator; the top of wsload.c explains them. In them
`{port}`, `{publisher_port}`, `{tls}`, `{identifier}` and `{cursor}` are filled in.

The transports are `websocket`, `tls` (a WebSocket over TLS), `stream`, `events`, `poll`, `rejoin` (a WebSocket that
resumes at a cursor) and `kept` (no listener at all). A server takes part in the workloads whose transport it has.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

Arguments = tuple[str, ...]


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Workspace:
    """A folder and ports for one run of a server. `programs` is the folder with Cometify's twistd.

    `publisher_port` is for servers that publish on a port of their own. `tls` listens only if there is a certificate.
    """

    folder: Path
    port: int
    publisher_port: int
    tls: int
    programs: Path
    certificate: Certificate | None = None
    admin: int = 0
    """The port of Cometify's admin endpoint, or 0 for any."""

    def write(self, name: str, text: str) -> str:
        """Write a configuration file. Returns its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def fill(self, arguments: Arguments, identifier: str, cursor: str = "") -> list[str]:
        """Fill in ports, identifier and cursor. The generator's own templates, such as `{P}`, stay."""
        values = {
            "port": self.port,
            "publisher_port": self.publisher_port,
            "tls": self.tls,
            "identifier": identifier,
            "cursor": cursor,
        }
        filled = []
        for argument in arguments:
            for name, value in values.items():
                argument = argument.replace(f"{{{name}}}", str(value))  # noqa: PLW2901 - one name after the other
            filled.append(argument)
        return filled


@dataclass(frozen=True)
class Server:
    """A server that can be measured.

    `setup_part` is the argument of bench/setup that installs it, and `needs` are the files that are there then.
    `many_identifiers` tells whether it has more than one identifier. `cursor` returns its current position, at which
    listeners can resume. `beside` is entered while the server runs: it is what goes on beside the measured load.
    """

    name: str
    title: str
    version: Callable[[Path], str]
    command: Callable[[Workspace], list[str]]
    listen: Mapping[str, Arguments]
    publish: Arguments
    needs: tuple[Path, ...] = ()
    setup_part: str = ""
    has_publisher_port: bool = False
    many_identifiers: bool = False
    environment: Callable[[Workspace], dict[str, str]] = field(default=lambda _workspace: {})
    cursor: Callable[[Workspace], str] = field(default=lambda _workspace: "")
    beside: Callable[[Workspace], AbstractContextManager[None]] = field(default=lambda _workspace: nullcontext())

    def installed(self) -> bool:
        return all(path.exists() for path in self.needs)

    def ports(self, workspace: Workspace) -> tuple[int, ...]:
        """The ports on which it listens when it has started."""
        return (
            workspace.port,
            *([workspace.publisher_port] if self.has_publisher_port else []),
            *([workspace.tls] if workspace.certificate else []),
        )

    def listener_arguments(self, transport: str, workspace: Workspace, identifier: str, cursor: str = "") -> list[str]:
        return workspace.fill(("--port", "{port}", *self.listen[transport]), identifier, cursor)

    def publisher_arguments(self, workspace: Workspace, identifier: str) -> list[str]:
        return workspace.fill(("--port", "{port}", "--pub-port", "{port}", *self.publish), identifier)
