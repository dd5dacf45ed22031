"""The outbox campaign: four writers commit rows of an outbox while everything is killed with SIGKILL at random moments.

`system.py` has the processes, `writer.py` is the application, `ear.py` a listener, `campaign.py` the measurements and the
comparison of what was committed with what was heard.
"""
