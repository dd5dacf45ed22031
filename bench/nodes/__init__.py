"""Nodes that share a Redis: the cost of pushes, the way to another node, Redis's memory and work, and a node's death."""
