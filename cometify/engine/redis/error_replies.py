"""The error replies of Redis, and the scope of each: the whole node, or one account.

A reply about Redis as a whole resets the session, and everybody is refused until Redis takes commands again. Any other reply
is about the keys of one command, which are those of one account. A push or listener of this account is refused, and nobody
else notices.
"""

import re
from collections.abc import Callable, Mapping
from enum import Enum

from twisted.internet.defer import FirstError
from twisted.logger import Logger
from twisted.python.failure import Failure
from txredisapi import RedisError, ResponseError

from cometify.engine.redis.messages import Nonsense

log = Logger()

LOG_EVERY = 60.0
"""Seconds between two log lines about one account. Each push to it can fail, and pushes come by the thousand."""


class Scope(Enum):
    """The part of the service that an error reply concerns."""

    NODE = "Redis serves nobody"
    ACCOUNT = "the keys of one account cannot be used"


TABLE: Mapping[str, tuple[Scope, str]] = {
    "LOADING": (Scope.NODE, "Redis reads its data from the disk, and answers nothing before it has."),
    "READONLY": (Scope.NODE, "It has become a replica. The primary is elsewhere, and connecting again finds it."),
    "MASTERDOWN": (Scope.NODE, "It is a replica that has lost its primary, and refuses to answer with old data."),
    "OOM": (Scope.NODE, "Its memory is full. Pushes and joins write to it, so neither is possible."),
    "MISCONF": (Scope.NODE, "It cannot write to its disk, and refuses all writes."),
    "NOREPLICAS": (Scope.NODE, "It has fewer replicas than min-replicas-to-write, and refuses all writes."),
    "BUSY": (Scope.NODE, "Somebody's script runs on and on, and no other command is run meanwhile."),
    "NOAUTH": (Scope.NODE, "The connection has not logged in, because a password was set after it was made."),
    "WRONGPASS": (Scope.NODE, "The user or the password is wrong."),
    "NOPERM": (Scope.NODE, "The user lacks a right. docs/redis.md names the rights, which do not tell accounts apart."),
    "ERR ACL failure": (Scope.NODE, "As NOPERM, for a command within a script."),
    "CLUSTERDOWN Hash slot not served": (Scope.ACCOUNT, "The slot of the account has no master. Other slots have one."),
    "CLUSTERDOWN": (Scope.NODE, "The cluster has lost a part of its slots, and serves none of them by default."),
    "UNBLOCKED": (Scope.NODE, "The primary became a replica while a command waited there."),
    "ERR WAIT cannot be used with replica": (Scope.NODE, "It has become a replica, as with READONLY."),
    "ERR unknown command": (Scope.NODE, "A command was renamed or removed, and all accounts need the same commands."),
    "WRONGTYPE": (Scope.ACCOUNT, "Somebody has put another kind of value at one of the account's keys."),
    "ERR user_script": (Scope.ACCOUNT, "A script met a value that it cannot read, in one of the account's keys."),
    "MOVED": (Scope.ACCOUNT, "The slot of the account is at another node of a cluster. Other slots are here."),
    "ASK": (Scope.ACCOUNT, "The slot of the account is on its way to another node of a cluster."),
    "TRYAGAIN": (Scope.ACCOUNT, "The keys of the account are on their way to another node of a cluster."),
    "CROSSSLOT": (Scope.ACCOUNT, "The account's keys are not in one slot, which a broken key name alone can cause."),
}
"""The scope of each error reply by its first words, and the reason.

A reply that is not listed is the account's. Redis has a code of its own for each fault that concerns all accounts. A wrong
guess also costs less this way: one account is refused longer than it must be, but all others are served.
"""


def scope_of(reply: str) -> Scope:
    """The scope of an error reply."""
    return next((scope for words, (scope, _why) in TABLE.items() if f"{reply} ".startswith(f"{words} ")), Scope.ACCOUNT)


def is_of_one_account(failure: Failure) -> bool:
    """True if a script failed because of one account: by an error reply, or by an answer that could not be read."""
    if failure.check(ResponseError):
        return scope_of(str(failure.value)) is Scope.ACCOUNT
    return failure.check(Exception) is not None and not failure.check(RedisError)


def first_error(failure: Failure) -> Failure:
    """The failure that came first, of several commands that were waited for together."""
    assert isinstance(failure.value, FirstError)
    return failure.value.subFailure


def in_words(failure: Failure) -> str:
    """The reason of a failure for the log.

    Redis repeats the arguments of an unknown command, which hold a push. It also names the script, which says nothing to
    an operator and would make two reasons of one.
    """
    reason = failure.getErrorMessage() or type(failure.value).__name__
    return re.sub(r" script: \w+, on @user_script:\d+\.?$", "", reason.partition(", with args")[0])


class AccountErrors:
    """Logs errors of single accounts, each account at most once a minute. `seconds`: a clock that never goes back."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._logged: dict[str, float] = {}  # API keys, and when the last line about each was logged

    def _may_log(self, api_key: str) -> bool:
        """True if a line about an account is due, which is then noted."""
        now = self._seconds()
        if now - self._logged.get(api_key, -LOG_EVERY) < LOG_EVERY:
            return False
        self._logged = {key: when for key, when in self._logged.items() if now - when < LOG_EVERY} | {api_key: now}
        return True

    def log(self, failure: Failure, api_key: str, command: str) -> None:
        """Log that `command`, a script's name, failed on an account."""
        if not self._may_log(api_key):
            return
        log.error(
            "Redis cannot run {command} on the account {api_key}: {reason}. This account alone is refused. Look at its keys "
            "in Redis, cometify:{{{api_key}}}*, and delete the one that is broken. Errors of this account are logged once "
            "a minute.",
            command=command,
            api_key=api_key,
            reason=in_words(failure).rstrip("."),
        )
        if not failure.check(ResponseError, Nonsense):
            log.failure(
                "The answer to {command} on the account {api_key} could not be read",
                failure,
                command=command,
                api_key=api_key,
            )
