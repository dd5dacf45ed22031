"""The servers by name, in the order in which they are shown."""

from bench.speed.servers.cometify import COMETIFY
from bench.speed.servers.debian import NATS, NCHAN
from bench.speed.servers.floor import FLOOR
from bench.speed.servers.npm import FAYE, SOCKETIO, SOKETI, UWS, WS
from bench.speed.servers.pypi import AUTOBAHN, WEBSOCKETS

SERVERS = {
    server.name: server
    for server in (FLOOR, COMETIFY, NCHAN, UWS, WS, SOKETI, WEBSOCKETS, SOCKETIO, FAYE, NATS, AUTOBAHN)
}
