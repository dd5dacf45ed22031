"""Begin 60 handshakes in a new process, end them, and fail if a connection has a dict of its own."""

import gc
import sys
from pathlib import Path

from cometify.runtime.certificates import CertificateFiles, Certificates
from tests.certificates import Peer
from tests.runtime.tls import Port, client


def main(folder: Path) -> None:
    port = Port(Certificates(CertificateFiles("ssl:443", folder / "key.pem", folder / "cert.pem")))
    begun = [(port.connect(), Peer(client())) for _ in range(60)]
    hellos = [peer.hello() for _connection, peer in begun]
    for (connection, _peer), hello in zip(begun, hellos, strict=True):
        assert connection.receive(hello[:10]) == b""
    answers = [connection.receive(hello[10:]) for (connection, _peer), hello in zip(begun, hellos, strict=True)]
    for (connection, peer), answer in zip(begun, answers, strict=True):
        connection.finish(peer, answer)
        assert connection.echoes(peer)
    servers = [connection.server for connection, _peer in begun]
    own = [kept for server in servers for kept in gc.get_referents(server) if type(kept) is dict]
    assert not own, f"{len(own)} of {len(servers)} connections have a dict, the first of {sorted(own[0])}"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
