"""The contracts of what an engine can be asked: by back ends, by accounts and by the operator."""

from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from cometify.core.account import Account
from cometify.core.identifier_page import AskedNames, IdentifierDetails, IdentifierPage, ListenerCount
from cometify.core.push_page import AskedPushes, PushPage
from cometify.core.retention import AccountRings
from cometify.core.ring import Channel
from cometify.core.usage import Usage
from cometify.core.usage_history import UsageReport


class IListenerCounts(Protocol):
    """The listeners of this node, counted for an engine that is asked for them."""

    def of(self, channel: Channel) -> ListenerCount:
        """Count the listeners of one channel."""

    def page(self, rings: AccountRings, asked: AskedNames, *, listened_only: bool = False) -> Deferred[IdentifierPage]:
        """Make a page of the identifiers of `rings` that are listened to here, or have pushes in their ring.

        `listened_only`: leave out those that only have pushes, and count no pushes. The Deferred has fired already if there
        are few.
        """


class IQueries(Protocol):
    """The questions of a back end about its account. Each Deferred can fail with `Refused` (engine_unavailable)."""

    def count_with(self, counts: IListenerCounts) -> None:
        """Count the listeners of this node with `counts`. Called once, before the engine starts."""

    def use_nonce(self, account: Account, nonce: str) -> Deferred[None]:
        """Use up the nonce of a signed question.

        The Deferred fails with `Refused`: nonce_reused, too_many_pushes (see `request_memory`), or engine_unavailable.
        """

    def pushes(self, account: Account, identifier: str, asked: AskedPushes) -> Deferred[PushPage]:
        """Read kept pushes of an identifier, public and secret ones.

        Every push of the page is sure to reach the listeners, and every push that was answered before the question is
        on the page, unless it is beyond the page's bounds or the page tells a gap.
        """

    def identifiers(self, account: Account, asked: AskedNames) -> Deferred[IdentifierPage]:
        """List the identifiers that are listened to on any node, or have pushes kept."""

    def identifier(self, account: Account, identifier: str) -> Deferred[IdentifierDetails]:
        """Tell about one identifier. One that nobody has ever used is told with zeros."""


class IUsageBook(Protocol):
    """The usage of each account by hours and days, over all nodes."""

    def watch(self, usage: Usage) -> None:
        """Take the counts of this process from `usage`. Called once, before the engine starts."""

    def report(self) -> Deferred[None]:
        """Write down what this process has counted since the last call.

        Called every `cometify.engine.USAGE_EVERY` seconds, and once at the end, when nothing is counted any longer. The
        Deferred fires when all is written, or cannot be written now. It never fails.
        """

    def read(self, account: Account) -> Deferred[UsageReport]:
        """Read the usage of an account. Fails with `Refused` (engine_unavailable)."""


class INodes(Protocol):
    """Questions to all nodes of a service, this one too, for its operator."""

    def answer_with(self, answer: Callable[[str], bytes]) -> None:
        """Answer each question with `answer`, at once. Called once, before the engine starts."""

    def ask(self, question: str) -> Deferred[list[bytes]]:
        """Ask all nodes. Fires with the answers that have come within a second.

        The Deferred fails with `Refused` (engine_unavailable) if the others cannot be asked.
        """
