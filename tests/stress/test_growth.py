"""A server that thousands have visited, in every way, is afterwards as small as before."""

from bench.campaigns.soak.growth import growth
from bench.campaigns.soak.soaked_server import soaked_server
from tests.conftest import PYTHONPATH, TWISTD, assert_clean

VISITS = 1500
# At rest after the same work a server has the same objects, but for some tens, so that one object kept for each visit, or
# for each second one, is above the first bound. Resident memory moves by up to half a megabyte with what is freed and not
# given back; its bound is for what is no object of Python's: a buffer of two kilobytes kept for each visit is above it.
OBJECTS = 500
BYTES = 2_500_000
# What is kept grows in each cycle; what had not come to rest, on a machine that has much else to do, in one.
TRIES = 3


def test_nothing_grows_while_listeners_and_pushes_come_and_go(tmp_path):
    with soaked_server(tmp_path, TWISTD, 100, {"PYTHONPATH": PYTHONPATH}) as server:
        server.work(VISITS)  # what is set up once
        samples = [cycle(server)]
        for _ in range(TRIES):
            samples.append(cycle(server))
            grown = growth(samples[-2:])
            if grown.objects < OBJECTS and grown.rss < BYTES:
                break
    assert_clean((tmp_path / "server.log").read_text())
    assert grown.objects < OBJECTS, grown.summary()
    assert grown.rss < BYTES, grown.summary()


def cycle(server):
    sample, done = server.cycle(VISITS)
    assert done["answered"] > VISITS * 0.8, done
    for what in ("websocket", "stream", "events", "poll", "pushes", "deliveries"):
        assert done[what] > 50, f"too little was done to tell anything: {done}"
    return sample
