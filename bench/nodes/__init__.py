"""What nodes that share a Redis cost: pushes, their way to another node, Redis's memory and work, and a node's death."""
