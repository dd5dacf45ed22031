"""A ring that is filled further back for one listener changes nothing for another listener at the head."""

import pytest


@pytest.mark.parametrize("secret", [0, 1])
def test_deeper_resume_repeats_nothing_to_listener_at_head(make_server, redis, secret):
    server = make_server(redis=redis.url)
    name = f"deeper{secret}"
    first, *_, last = [server.pushed(name, f"old {number}") for number in range(5)]
    if secret:
        last = server.pushed(name, "not for them", secret=1)
    with server.websocket(f"identifiers={name}&position={last}") as there:
        there.joined()
        older = server.poll(query=f"identifiers={name}&position={first}")
        assert [frame["text"] for frame in older.frames if frame["type"] == "push"] == [f"old {n}" for n in range(1, 5)]
        server.pushed(name, "new")
        assert there.next("push")["text"] == "new"
