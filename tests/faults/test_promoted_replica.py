"""A promoted replica that has a push and does not know that it was published already."""

import time

from tests.faults.redis_commands import command
from tests.faults.test_slot_claims import next_but_heartbeats
from tests.wire import API_KEY, eventually

NAME = f"cometify:{{{API_KEY}}}"


def test_promoted_replica_tells_no_gap_and_repeats_nothing(make_server, redis):
    server = make_server(redis=redis.url, heartbeat=1)
    with server.websocket("identifiers=promoted") as listener:
        listener.joined()
        server.pushed("promoted", "said")
        assert listener.next("push")["text"] == "said"
        cursor = listener.next("heartbeat")["position"]
        # The replica still has the push in the list of those that are not published yet.
        entry = command(redis, "LINDEX", f"{NAME}:public:promoted", "-1")
        began = command(redis, "HGET", f"{NAME}:state", "began")
        command(redis, "RPUSH", f"{NAME}:unsaid", f"cometify:0:{{{API_KEY}}}:promoted {began} 0 {entry}")
        command(redis, "CLIENT", "KILL", "TYPE", "normal")
        until = time.monotonic() + 5
        while (answer := server.poll(query=f"identifiers=promoted&position={cursor}")).status == 503:
            assert time.monotonic() < until
        assert [frame["type"] for frame in answer.frames] == ["heartbeat"], answer
        eventually(lambda: server.push("promoted", "new").status == 200)
        frame = next_but_heartbeats(listener)
        assert (frame["type"], frame.get("text")) == ("push", "new")
