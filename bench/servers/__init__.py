"""The servers that are measured, by name, in the order in which they are shown."""

from bench.servers.cometify import COMETIFY
from bench.servers.debian import NATS, NCHAN
from bench.servers.floor import FLOOR
from bench.servers.npm import FAYE, SOCKETIO, SOKETI, UWS, WS
from bench.servers.pypi import AUTOBAHN, WEBSOCKETS

SERVERS = {
    server.name: server
    for server in (FLOOR, COMETIFY, NCHAN, UWS, WS, SOKETI, WEBSOCKETS, SOCKETIO, FAYE, NATS, AUTOBAHN)
}
