"""Accounts that come, change and go while the server runs: kept in SQLite or Redis, followed by every process.

    admin endpoint -> AccountEditor -> store  ---- each process: AccountFollower -> Accounts -> listeners

A **record** is the table of one account with its secrets, as a text (`record.py`). The **store** keeps one text for each API
key, and changes one only if it still has the text that the editor has seen (`store.py`). So two operators never undo each
other's change, and there is no lock that somebody could forget.

The **follower** reads what has changed, and never asks for more than that: SQLite is looked at four times a second, Redis
twice, and at once when it announces a change. A text that has not changed keeps its account object, so that listeners of that
account are left alone.

A store that cannot be read changes nothing. The accounts that are known stay, and the follower goes on trying. A store that is
another one than before, or has lost changes, may have lost accounts too: an emptied Redis, a file that was replaced. If more
than a tenth of the accounts are missing there, the known accounts stay as well, until the store has them again or the server
is restarted.
"""
