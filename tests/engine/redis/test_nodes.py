"""The console asks all nodes of one Redis."""

from cometify.core.history import EVERY
from tests.wire import API_KEY, request_bytes


def processes(nodes, index=0, target="/console/processes"):
    wire = nodes[index].connect_admin()
    wire.receive(request_bytes("GET", target))
    nodes.settle()
    nodes.advance(1.5)
    answer = wire.answer()
    assert answer.status == 200, answer
    return answer.json


def test_console_of_each_node_shows_all_nodes(nodes):
    nodes[0].pushed("chat", "x")
    nodes[1].stream("identifiers=chat")
    nodes.advance(2 * EVERY)
    for index in (0, 1):
        told = processes(nodes, index)
        assert told["alone"] is None
        columns = [process["history"]["columns"] for process in told["processes"]]
        assert len({process["id"] for process in told["processes"]}) == 2
        assert sum(sum(column.get("pushes", [])) for column in columns) == 1
        assert sum(column.get("listeners.stream", [0])[-1] for column in columns) == 1


def test_latency_of_redis_is_sampled(nodes):
    nodes[0].pushed("chat", "x")
    nodes.advance(2 * EVERY)
    for process in processes(nodes)["processes"]:
        columns = process["history"]["columns"]
        assert sum(sum(columns[name]) for name in columns if name.startswith("redis.")) > 0


def test_listeners_of_an_identifier_are_those_of_all_nodes(nodes):
    nodes[0].stream("identifiers=chat")
    nodes[1].websocket("identifiers=chat", host="10.0.0.2")
    nodes.settle()
    told = processes(nodes, target=f"/console/identifier?account={API_KEY}&identifier=chat")
    views = [view for process in told["processes"] for view in process["identifier"]["listeners"]]
    assert sorted((view["transport"], view["count"]) for view in views) == [("stream", 1), ("websocket", 1)]


def test_node_without_redis_tells_of_itself_alone(nodes):
    nodes[1].reactor.close()
    nodes.worlds.pop()
    nodes.cut()
    wire = nodes[0].connect_admin()
    wire.receive(request_bytes("GET", "/console/processes"))
    told = wire.answer().json
    assert "Redis is away" in told["alone"]
    assert [process["not_ready"] for process in told["processes"]] == ["engine_unavailable"]


def test_message_of_another_program_as_a_question_is_survived(nodes):
    channel = nodes[0].server.engine.nodes._everybody
    nodes.command("PUBLISH", channel, '!n?["1","nobody","{}"]')
    nodes.command("PUBLISH", channel, '!n?["1","nobody","{\\"about\\":\\"unknown\\"}"]')
    nodes.settle()
    assert nodes[0].server.engine.available
