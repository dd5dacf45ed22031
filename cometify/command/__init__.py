"""The command `cometify`, for the person at a terminal.

`main.py` has the group. Each other module has the commands of one subject. An error of the user is one line on standard
error and the exit status 1. A wrong option or argument is click's own message and the status 2.
"""
