"""Nodes, Redis and networks die and come back; nothing acknowledged is lost, doubled or out of order. And who says so."""
