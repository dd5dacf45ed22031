"""Private names of other libraries: where they may be used, and the source that each use relies on.

A red hash says that a new version of a library has changed code that runtime/ relies on. Read the changed source beside
our use, which the row names, and decide whether the use is still right. Only then write the new hash into the row.
"""

import ast
import hashlib
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from OpenSSL import SSL
from twisted.internet import _sslverify, abstract, endpoints, epollreactor, posixbase, tcp
from twisted.protocols import tls

import cometify

PACKAGE = Path(cometify.__file__).parent

RELIED_ON = {
    # runtime/epoll_loop.py: DirectPoll replaces doPoll, and calls the same two methods for what it does not do itself.
    "EPollReactor.doPoll": (epollreactor.EPollReactor.doPoll, "312b649eff9e5e23"),
    "EPollReactor._doReadOrWrite": (epollreactor.EPollReactor._doReadOrWrite, "0979d4247d0e5c47"),
    "EPollReactor.__init__": (epollreactor.EPollReactor.__init__, "dc59deec10dbd83f"),
    "PosixReactorBase._disconnectSelectable": (posixbase.PosixReactorBase._disconnectSelectable, "67a83a2169f1d69b"),
    # runtime/tcp.py: a send past FileDescriptor.write is right only while none of its flags says that something waits.
    "FileDescriptor": (abstract.FileDescriptor, "c3247ba36ee3919f"),
    "tcp.Connection": (tcp.Connection, "da7b243bec9bf30e"),
    "tcp.Port.doRead": (tcp.Port.doRead, "e8f6872162225100"),
    "tcp.Port._fromListeningDescriptor": (tcp.Port._fromListeningDescriptor, "59166e90d80e0736"),
    "tcp.Port.startListening": (tcp.Port.startListening, "f09c4cf0a3678737"),
    # runtime/tls_writer.py: a write past TLSMemoryBIOProtocol.write, with the two calls that pyOpenSSL would make.
    "TLSMemoryBIOProtocol.write": (tls.TLSMemoryBIOProtocol.write, "24e44689ed06f874"),
    "TLSMemoryBIOProtocol._write": (tls.TLSMemoryBIOProtocol._write, "a40fbe73ccc059fb"),
    "TLSMemoryBIOProtocol._flushSendBIO": (tls.TLSMemoryBIOProtocol._flushSendBIO, "9b2043777ab2ef33"),
    "SSL.Connection.__init__": (SSL.Connection.__init__, "3be6593e3fd7a1a0"),
    "SSL.Connection.send": (SSL.Connection.send, "7160cac46dc2cacf"),
    "SSL.Connection.bio_read": (SSL.Connection.bio_read, "66f184ed002cf0b5"),
    # runtime/tls_handshake.py: the first record is kept from OpenSSL until it is whole. Only the first call of
    # `_checkHandshakeStatus`, by `makeConnection`, comes before that, and there is nothing to read from OpenSSL either.
    "TLSMemoryBIOFactory.__init__": (tls.TLSMemoryBIOFactory.__init__, "a26890a6413b922e"),
    "TLSMemoryBIOProtocol.makeConnection": (tls.TLSMemoryBIOProtocol.makeConnection, "34404433c8c7902e"),
    "TLSMemoryBIOProtocol._checkHandshakeStatus": (tls.TLSMemoryBIOProtocol._checkHandshakeStatus, "6eb691c1a87b7cd8"),
    "TLSMemoryBIOProtocol.dataReceived": (tls.TLSMemoryBIOProtocol.dataReceived, "aec436044d065b6f"),
    "TLSMemoryBIOProtocol._flushReceiveBIO": (tls.TLSMemoryBIOProtocol._flushReceiveBIO, "2105d14b4edd4c1d"),
    "TLSMemoryBIOProtocol.connectionLost": (tls.TLSMemoryBIOProtocol.connectionLost, "95af3b311d68c7da"),
    # runtime/certificates.py: the files that an `ssl:` endpoint names are found as Twisted finds them.
    "endpoints._parse": (endpoints._parse, "91037a29d4450903"),
    "endpoints._parseSSL": (endpoints._parseSSL, "ed309c39d8fad45f"),
    # runtime/tls_client.py: optionsForClientTLS makes a context for each host, and gives it to this class.
    "ClientTLSOptions": (_sslverify.ClientTLSOptions, "a4770a03321d00c9"),
    "optionsForClientTLS": (_sslverify.optionsForClientTLS, "3588244cc5adb954"),
    # runtime/ports.py: the number of a port that is too high is found before anything listens.
    "TCP4ServerEndpoint": (endpoints.TCP4ServerEndpoint.__init__, "c7420b96956d5753"),
    "SSL4ServerEndpoint": (endpoints.SSL4ServerEndpoint.__init__, "efa7801812cff6be"),
}
"""For each piece of source: the object, and the beginning of the SHA-256 of its source."""


def source_hash(thing: object) -> str:
    return hashlib.sha256(textwrap.dedent(inspect.getsource(thing)).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", RELIED_ON)
def test_source_behind_a_private_name_is_unchanged(name):
    thing, known = RELIED_ON[name]
    assert source_hash(thing) == known, f"{name} has changed: see the top of this file"


def private_uses(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each private attribute that is not an object's own, and of each private import."""
    tree = ast.parse(source)
    own = {"self", "cls", *(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and not _is_own(node.value, own):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            if any(map(_is_private, (node.module or "").split("."))):
                yield node.lineno, node.module or ""
            yield from ((node.lineno, alias.name) for alias in node.names if _is_private(alias.name))


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _is_own(value: ast.expr, own: set[str]) -> bool:
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "super"
    return isinstance(value, ast.Name) and value.id in own


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_private_names_of_others_are_used_in_runtime_alone(path):
    uses = list(private_uses(path.read_text(encoding="utf-8")))
    assert not uses or path.parent == PACKAGE / "runtime", uses


def test_private_uses_are_found():
    found = private_uses("from a._b import c\nfrom a import _d\nx._e()\nself._mine\nsuper()._mine\nx.__dict__\n")
    assert sorted(found) == [(1, "a._b"), (2, "_d"), (3, "_e")]
