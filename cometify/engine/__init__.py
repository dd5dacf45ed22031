"""Engines keep pushes and number them. An engine never hears of listeners."""

UNFOLLOW_DELAY = 60
"""Seconds for which a channel stays followed after its last listener has left, because page loads come in bursts."""
USAGE_EVERY = 5
"""Seconds between two reports of the usage of accounts: see `cometify.interfaces.IUsageBook`."""
