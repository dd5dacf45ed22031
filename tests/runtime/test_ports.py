"""The ports that workers share."""

import os
import socket

import pytest
from twisted.internet.testing import MemoryReactor

from bench.rig.ports import free_port
from cometify.config.settings import Settings
from cometify.runtime.inherited_sockets import InheritedSockets
from cometify.runtime.ports import SharedPorts
from cometify.runtime.tcp import BACKLOG


@pytest.mark.parametrize(("workers", "processors", "queues"), [(2, 8, 2), (8, 2, 2), (3, 3, 3)])
def test_queue_has_room_for_what_the_processors_can_serve(monkeypatch, workers, processors, queues):
    rooms = []

    class Socket(socket.socket):
        def listen(self, room=0):
            rooms.append(room)
            super().listen(room)

    monkeypatch.setattr("cometify.runtime.inherited_sockets.socket.socket", Socket)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(processors)))
    inherited = InheritedSockets()
    settings = Settings((), http=(f"tcp:{free_port()}:interface=127.0.0.1",), websocket=(), workers=workers)
    SharedPorts(MemoryReactor(), settings, inherited).open()
    try:
        assert rooms == [BACKLOG * queues]
    finally:
        inherited.close_opened()
