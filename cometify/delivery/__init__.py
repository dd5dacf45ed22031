"""Brings pushes from the rings to the sockets, and runs what time brings: heartbeats and the expiry of tokens."""
