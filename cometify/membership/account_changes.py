"""Accounts that change while their listeners are connected.

A reload (SIGHUP) or a store of accounts may remove an account, suspend it or change its settings. Listeners of an account
that was removed or suspended are ended, and so are those of an identifier that the account may no longer have. A listener
whose right to secret pushes or to private identifiers has changed joins again in place. A `ready` frame tells it.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from cometify.config.accounts import suspended
from cometify.core import errors
from cometify.core.account import Account
from cometify.core.account_rules import check_names
from cometify.core.group import Group
from cometify.core.identifier import Identifier, Names
from cometify.core.listen_request import ListenRequest
from cometify.core.listener import Listener
from cometify.core.view import View
from cometify.interfaces import IAccounts
from cometify.membership import refusals
from cometify.membership.joining import Joining
from cometify.membership.slots import Slot, SlotTable
from cometify.runtime.slices import SlicedWork


class AccountChanges:
    """Brings the listeners of this node under the accounts that are valid now.

    `work`: does it in slices. `follow(joining)`: goes on with a joining whose rights were found out. `wall`: Unix seconds.
    """

    def __init__(
        self,
        slots: SlotTable,
        work: SlicedWork[Listener],
        follow: Callable[[Joining], Deferred[None] | None],
        wall: Callable[[], float],
    ) -> None:
        self._slots = slots
        self._work = work
        self._follow = follow
        self._wall = wall
        self._accounts: IAccounts

    def begin(self, accounts: IAccounts) -> None:
        """Look at the account of every listener.

        A second change during the slices of the first looks at all listeners again. From then on both go by the newest
        accounts, so the second finds little to do.
        """
        self._accounts = accounts
        self._work.add("The change of accounts", self._slots.listeners(), lambda: self._check_account, at_once=True)

    def _check_account(self, listener: Listener) -> None:
        slot = self._slots.get(listener)
        if slot is None:
            return  # it has left since the pass began
        account = self._accounts.get(slot.account.api_key)
        if account is None:
            listener.end(refusals.key_removed())
        elif account.suspended:
            listener.end(suspended())
        elif account is not slot.account and account != slot.account:
            before, slot.account = slot.account, account
            # A listener that has not joined yet is checked when it does.
            if listener.view is not None:
                self._check_joined(listener, listener.view, before, slot)

    def _check_joined(self, listener: Listener, view: View, before: Account, slot: Slot) -> None:
        account = slot.account
        if account.spelling is not before.spelling:
            try:
                check_names(account, (slot.asked or _request_of(view)).names)
            except errors.Refused as refused:
                listener.end(refused)
                return
        if slot.asked is not None or account.private:
            self._check_rights(listener, slot.asked or _request_of(view), before, slot)

    def _check_rights(self, listener: Listener, request: ListenRequest, before: Account, slot: Slot) -> None:
        """Let a listener join again if its right to secret pushes is not what it was under the account `before`."""
        wall = self._wall()
        joining = Joining(listener, slot.account, slot.client_key, request, first=True)
        try:
            joining.take_rights_left(slot, wall)
        except errors.Refused as refused:
            listener.end(refused)
            return
        slot.asked = request if slot.asked is not None or joining.has_left_out else None
        if joining.rights != [group.right_left(before, wall) for group in request.groups]:
            joined = self._follow(joining)
            if joined is not None:
                joined.addErrback(self._end_refused, listener)

    @staticmethod
    def _end_refused(failure: Failure, listener: Listener) -> Failure | None:
        if not isinstance(failure.value, errors.Refused):
            return failure
        listener.end(failure.value)
        return None


def _request_of(view: View) -> ListenRequest:
    """Return the request of a listener with one group and no key: to go on with everything that it has."""
    identifiers = tuple([Identifier(ring.channel[1], ring.channel[1]) for ring, _secret in view.sources])
    return ListenRequest((Group(Names(identifiers)),))
