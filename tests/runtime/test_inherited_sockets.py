"""Sockets that another process has opened."""

from cometify.runtime.inherited_sockets import InheritedSockets


def test_without_proc_no_sockets_are_inherited(monkeypatch, tmp_path):
    monkeypatch.setattr("cometify.runtime.inherited_sockets._ENVIRONMENT", tmp_path / "environ")
    assert InheritedSockets.of_systemd().descriptors() == ([], [])
