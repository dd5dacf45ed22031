"""`cometify doctor` looks at a server from outside, through whatever proxies are on the way, and names what is wrong.

`examination.py` has the checks in their order, `tls.py` and `admin.py` two of them. `findings.py` has the result of a check,
and `report.py` shows it. `command.py` is the command.
"""
