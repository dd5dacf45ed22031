"""`cometify doctor` examines a server from outside, through all proxies on the way, and names the faults.

`examination.py` has the checks in their order, `tls.py` and `admin.py` two of them. `findings.py` has the result of a check,
and `report.py` shows it. `command.py` is the command.
"""
