"""Channels that nobody listens on any longer. Each stays followed for a minute, because page loads come in bursts."""

from collections.abc import Callable, Collection, Mapping
from itertools import islice

from cometify.core.ring import Channel
from cometify.engine import UNFOLLOW_DELAY
from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.subscriber import Subscriber

SLICE = 100
"""Channels that are left in one call."""


class LeavingChannels:
    """`seconds`: a clock that never goes back. `states`: all accounts."""

    def __init__(
        self, seconds: Callable[[], float], states: Mapping[str, AccountState], subscriber: Subscriber
    ) -> None:
        self._seconds = seconds
        self._states = states
        self._subscriber = subscriber
        self._until: dict[Channel, float] = {}

    def add(self, channel: Channel) -> None:
        """Leave a channel in a minute."""
        self._until.pop(channel, None)  # so that the dict stays in the order of the times
        self._until[channel] = self._seconds() + UNFOLLOW_DELAY

    def discard(self, channel: Channel) -> None:
        """Stay, because somebody has joined."""
        self._until.pop(channel, None)

    def give_away(self, api_keys: Collection[str]) -> list[Channel]:
        """Forget the channels of accounts that are at another Redis now. Returns them."""
        given = [channel for channel in self._until if channel[0] in api_keys]
        for channel in given:
            del self._until[channel]
        return given

    def leave_some(self) -> bool:
        """Leave channels that nobody has listened to for a minute. Returns whether more are due."""
        now = self._seconds()
        due: dict[str, list[str]] = {}
        for channel, until in list(islice(self._until.items(), SLICE)):
            if until > now:
                break
            del self._until[channel]
            due.setdefault(channel[0], []).append(channel[1])
        for api_key, names in due.items():
            state = self._states.get(api_key)
            if state is not None and not self._subscriber.leave(state, names):
                for name in names:
                    self.add((api_key, name))  # somebody may be about to join: ask again later
        return bool(self._until) and next(iter(self._until.values())) <= now
