"""The test rig of all measurements: processes, ports, a client of the public edge, and the load generator."""
