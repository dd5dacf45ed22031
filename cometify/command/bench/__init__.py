"""`cometify bench` pushes to a running server and listens to it, and tells rates and latencies.

`load.py` makes the load, `latencies.py` counts, and `report.py` shows the result. `command.py` is the command.
"""
