"""A replica is promoted that has a push, but does not know that it was published already."""

import time

from tests.faults.test_places import ask
from tests.wire import API_KEY, eventually

NAME = f"cometify:{{{API_KEY}}}"


def test_who_resumes_has_no_gap_and_nothing_again(make_server, redis):
    server = make_server(redis=redis.url, heartbeat=1)
    with server.websocket("identifiers=promoted") as listener:
        listener.joined()
        server.pushed("promoted", "said")
        assert listener.next("push")["text"] == "said"
        cursor = listener.next("heartbeat")["position"]
        entry = ask(redis, "LINDEX", f"{NAME}:p:promoted", "-1")
        began = ask(redis, "HGET", NAME, "began")
        ask(redis, "RPUSH", f"{NAME}:unsaid", f"cometify:0:{{{API_KEY}}}:promoted {began} 0 {entry}")
        ask(redis, "CLIENT", "KILL", "TYPE", "normal")
        until = time.monotonic() + 5
        while (answer := server.poll(query=f"identifiers=promoted&position={cursor}")).status == 503:
            assert time.monotonic() < until
        assert [frame["type"] for frame in answer.frames] == ["heartbeat"], answer
        eventually(lambda: server.push("promoted", "new").status == 200)
        while (frame := listener.frame())["type"] == "heartbeat":
            pass
        assert (frame["type"], frame.get("text")) == ("push", "new")
