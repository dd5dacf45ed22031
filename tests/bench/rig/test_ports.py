"""Free ports."""

import socket

import pytest

from bench.rig.ports import free_port, free_ports


def test_free_ports_are_different_and_can_be_bound():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", port))


def test_search_for_a_free_port_ends_if_all_are_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"no port from {port} to {port} is free"):
            free_port(port, port + 1)
