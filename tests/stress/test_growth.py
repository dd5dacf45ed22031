"""A server that thousands have visited, in every way, is afterwards as small as before."""

from bench.soak.cycles import soaked
from bench.soak.growth import growth
from tests.conftest import PYTHONPATH, TWISTD, assert_clean

VISITS = 2000
# At rest after the same work a server has the same objects, but for some tens, and the same pages, but for 0.5 MB of what
# is freed and not given back. One object kept for each visit is well above the one bound; a listener kept for each, of
# some two kilobytes, is above both.
OBJECTS = 500
BYTES = 2_500_000


def test_nothing_grows_while_listeners_and_pushes_come_and_go(tmp_path):
    with soaked(tmp_path, TWISTD, 100, {"PYTHONPATH": PYTHONPATH}) as server:
        server.work(VISITS)  # what is set up once
        samples = []
        for _ in range(2):
            sample, done = server.cycle(VISITS)
            samples.append(sample)
            assert done["answered"] > VISITS * 0.8, done
            for what in ("websocket", "stream", "events", "poll", "pushes", "deliveries"):
                assert done[what] > 50, f"too little was done to tell anything: {done}"
    assert_clean((tmp_path / "server.log").read_text())
    grown = growth(samples)
    assert grown.objects < OBJECTS, grown.told()
    assert grown.rss < BYTES, grown.told()
