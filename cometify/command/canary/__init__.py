"""`cometify canary` pushes once a second, listens on every transport, and tells what a visitor would notice.

`canary.py` pushes and listens, `figures.py` counts for Prometheus and for the terminal. `command.py` is the command.
"""
