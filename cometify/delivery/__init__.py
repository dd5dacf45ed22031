"""Brings pushes from the rings to the sockets, and serves the passing of time: heartbeats and the expiry of tokens."""
