"""The speed of Cometify and its peers: the same workloads for each server, by turns, in one run."""
