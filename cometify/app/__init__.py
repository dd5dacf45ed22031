"""The command line and the wiring: the only importers of everything."""
