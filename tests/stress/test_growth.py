"""A server that thousands have visited in every way is afterwards as small as before."""

from bench.campaigns.soak.growth import growth
from bench.campaigns.soak.soaked_server import soaked_server
from tests.conftest import PYTHONPATH, TWISTD, assert_clean

CONNECTIONS = 1500
# At rest after the same load a server has the same objects, except for some tens. One object kept for each connection, or
# for every second one, is above this bound.
OBJECTS = 500
# Resident memory moves by up to half a megabyte, because freed memory is not always given back. This bound is for memory
# outside of Python objects: a buffer of two kilobytes kept for each connection is above it.
BYTES = 2_500_000
# A leak grows in every cycle. A busy machine that has not come to rest yet grows in one.
TRIES = 3


def test_nothing_grows_while_listeners_come_and_go(tmp_path):
    with soaked_server(tmp_path, TWISTD, 100, {"PYTHONPATH": PYTHONPATH}) as server:
        # The first load makes the server set up everything that it sets up once.
        server.load(CONNECTIONS)
        samples = [run_cycle(server)]
        for _ in range(TRIES):
            samples.append(run_cycle(server))
            grown = growth(samples[-2:])
            if grown.objects < OBJECTS and grown.rss < BYTES:
                break
    assert_clean((tmp_path / "server.log").read_text())
    assert grown.objects < OBJECTS, grown.summary()
    assert grown.rss < BYTES, grown.summary()


def run_cycle(server):
    sample, counts = server.run_cycle(CONNECTIONS)
    assert counts["answered"] > CONNECTIONS * 0.8, counts
    for kind in ("websocket", "stream", "events", "poll", "pushes", "deliveries"):
        assert counts[kind] > 50, f"too little was done to tell anything: {counts}"
    return sample
