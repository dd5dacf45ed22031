"""The test rig of all measurements and campaigns: processes, ports, a client of the public edge, the load generator."""
