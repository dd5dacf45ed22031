"""`cometify account` lists and changes the accounts of a running server, by the requests of its admin endpoint.

`admin_client.py` finds the endpoint and asks it, `answers.py` reads its answers, `values.py` reads NAME=VALUE, and `report.py`
prints. The commands are in `command.py`.
"""
