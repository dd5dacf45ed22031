"""Free ports."""

import os
import socket
import subprocess
import sys

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


def test_processes_of_two_test_runs_find_different_ports():
    program = "from bench.rig.ports import free_ports; print(*free_ports(30))"
    found = []
    for worker, first in (("", "0"), ("gw0", "0"), ("gw1", "0"), ("gw2", "0"), ("gw0", "4"), ("gw1", "4")):
        environment = {**os.environ, "PYTEST_XDIST_WORKER": worker, "COMETIFY_FIRST_PART_OF_PORTS": first}
        printed = subprocess.run(
            [sys.executable, "-c", program], env=environment, check=True, capture_output=True
        ).stdout
        found.append({int(port) % 8 for port in printed.split()})
    assert [len(remainders) for remainders in found] == [1] * 6
    assert len(set.union(*found)) == 6


def test_no_port_is_found_twice_in_a_row_of_searches():
    assert len({free_port() for _ in range(500)}) == 500
