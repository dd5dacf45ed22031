"""Idle listeners, up to a million of them: memory, heartbeats, a push to all, and the time until all are back after kill -9."""
