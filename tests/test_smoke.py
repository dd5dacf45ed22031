from tests.wire import DEFLATE


def test_push_reaches_a_listener_on_every_transport(make_server):
    server = make_server(is_forked=False)
    with (
        server.websocket("identifiers=chat") as one,
        server.stream("identifiers=chat") as two,
        server.stream("identifiers=chat", path="events") as three,
    ):
        for listener in (one, two, three):
            listener.joined()
        position = server.poll(query="identifiers=chat").frames[-1]["position"]
        server.pushed("chat", "Hello world!", push_id=7)
        for listener in (one, two, three):
            assert listener.next("push")["text"] == "Hello world!"
        assert server.poll(query=f"identifiers=chat&position={position}").frames[0]["push_id"] == 7


def test_time_is_the_tests(tmp_path):
    from tests.memory import World

    world = World()
    wire = world.websocket("identifiers=chat")
    assert [frame["type"] for frame in wire.frames()] == ["ready", "heartbeat"]
    world.pushed("chat", "one")
    world.advance(25)
    assert [frame["type"] for frame in wire.frames()] == ["push", "heartbeat"]
    poll = world.poll(f"identifiers=chat&position={world.clock()}")
    assert not poll.answered
    world.advance(25)
    assert [frame["type"] for frame in poll.frames()] == ["heartbeat"]


def test_browser_that_offers_compression_gets_it(server):
    with server.websocket("identifiers=chat", headers=DEFLATE) as listener:
        assert "permessage-deflate" in listener.headers["sec-websocket-extensions"]
        listener.joined()
        for text in ("small", "again and " * 100):
            server.pushed("chat", text)
            assert listener.texts(1) == [text]
        assert listener.compressed == 1
