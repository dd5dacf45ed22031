"""The command `cometify`, for the person at a terminal.

`main.py` has the group. `configuration.py`, `rights.py`, `push.py`, `serve.py`, `listen.py`, `doctor/` and `bench/` have the
commands. The other modules are their parts.

An error of the user is one line on standard error and the exit status 1. A wrong option or argument is click's own message
and the status 2. `exit_status.py` has the other statuses.
"""
