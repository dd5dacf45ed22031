"""`cometify bench` pushes to a running server, listens to it, and prints rates and latencies.

`load.py` makes the load, `latencies.py` counts, and `report.py` shows the result. `command.py` is the command.
"""
