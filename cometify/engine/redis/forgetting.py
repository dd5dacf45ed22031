"""Forgets accounts that nobody uses on this node."""

from itertools import islice

from cometify.core.position import FLOOR_RETENTION, SECOND
from cometify.engine.redis.account_state import AccountState

FORGET_AFTER = FLOOR_RETENTION / SECOND
"""Seconds of quiet after which an account is forgotten here: see `forget_quiet`."""
SLICE = 100
"""Accounts that are looked at in one call of `expire`."""


def forget_quiet(states: dict[str, AccountState], now: float) -> None:
    """Forget accounts that were neither pushed to nor followed here for a day. Looks at a few in each call, in turn.

    `last_known` and `highest` are lost with the state, and with them the two things that they protect:

    - An emptied Redis, or one that has gone back in time, is noticed because it lacks the push at `last_known`. An
      emptied one is still noticed, because it has no state of the account at all. One that has gone back is not. This
      does no harm, because nobody listens here. Floors are kept for a day, and an older cursor is always told a gap.
      So a push of more than a day ago matters to no later cursor, and `read.lua` ignores such a push as well.
    - Positions grow past `highest` even if an emptied Redis has a clock that is behind. After a day it would have to
      be behind by more than a day. A cursor above the head of the account is told a gap then.
    """
    for api_key in list(islice(states, SLICE)):
        state = states.pop(api_key)
        if state.quiet_for(now) < FORGET_AFTER:
            states[api_key] = state  # behind all others, so that the next call looks at those
