"""Runs `read.lua`: reads the kept pushes of some identifiers, or the position of an account alone."""

from collections.abc import Mapping

from twisted.internet.defer import Deferred

from cometify.engine.redis.account_state import AccountState
from cometify.engine.redis.channels import Channels
from cometify.engine.redis.connection import RedisConnection, Reply
from cometify.engine.redis.read_batch import Since
from cometify.engine.redis.revocations import MOST_READ
from cometify.engine.redis.scripts import READ, ReadAnswer

ABOVE_ALL = 2**62
"""A `last_known` that no Redis has heard of. It makes the script begin the memory of the account again."""
MOST_BYTES = 1024 * 1024
"""Bytes of pushes after which one script reads no further identifier. A script stops everybody else, and takes about 5 ms of
Redis for a MiB. An identifier can have 4 MiB of each kind, and is read whole."""
NO_BATCH = 0
"""The number of a watermark that is not a seam. Batches are numbered from 1 on."""


class Reader:
    """`node`: the name of this node. `channels`: those of this node. The script publishes the watermark on one of them."""

    def __init__(self, node: str, channels: Channels) -> None:
        self._node = node
        self._channels = channels

    def read(
        self,
        state: AccountState,
        connection: RedisConnection,
        number: int,
        since: Mapping[str, Since],
        *,
        has_caught_up: bool,
        is_beat: bool = False,
    ) -> Deferred[ReadAnswer]:
        """Read the pushes of identifiers, each above a position, and publish a watermark with this number.

        If the first identifiers have `MOST_BYTES` together, the answer has only them, and the watermark has no number.

        `has_caught_up`: whether the account has been read since the session began. If not, the script looks for the
        very push at `last_known`, which a Redis that has gone back in time lacks. `is_beat`: nobody waits for the answer, so
        secret pushes that are too old can be dropped as well.
        """
        last_known = ABOVE_ALL if state.went_back else state.last_known
        arguments: list[str | int] = []
        for name, (public, secret) in since.items():
            arguments += (name, public, "-" if secret is None else secret)
        answered = connection.run(
            READ, state.name,
            state.highest, last_known, self._channels.of_watermarks(state),
            f"{state.account.api_key} {number}", state.account.keep_bytes,
            self._node, "" if has_caught_up else state.last_known_name, state.last_heard,
            "secret" if state.last_known_secret else "public", 1 if is_beat else 0,
            state.revocations.known, MOST_READ, MOST_BYTES, *arguments,
        )  # fmt: skip
        return answered.addCallback(self._take_revocations, state, connection, has_caught_up)

    def _take_revocations(
        self, answer: ReadAnswer, state: AccountState, connection: RedisConnection, has_caught_up: bool
    ) -> ReadAnswer | Deferred[ReadAnswer]:
        """Note the revocations before anything else, because listeners may join or get pushes with this answer.

        If there are more than one answer has, the others are read first. Their versions grow, so each read brings new ones.
        """
        if state.revocations.take_read(answer[2], is_late=not has_caught_up):
            return answer
        others = self.read(state, connection, NO_BATCH, {}, has_caught_up=has_caught_up)
        return others.addCallback(lambda _answer: answer)

    def ask_position(
        self, state: AccountState, connection: RedisConnection, *, is_beat: bool = False
    ) -> Deferred[ReadAnswer]:
        """Read no pushes. Learn the position of the account, and publish a watermark."""
        return self.read(state, connection, NO_BATCH, {}, has_caught_up=True, is_beat=is_beat)

    def beat(self, connection: RedisConnection) -> Deferred[Reply]:
        """Publish a message that tells nothing to this node."""
        return connection.execute(b"PUBLISH", self._channels.own, b"beat")
