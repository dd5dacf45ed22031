"""Pushes from the code of a project: at once, or after the commit of a transaction."""

from collections.abc import Iterable
from functools import partial
from typing import Unpack

from django.db import transaction

from cometify.client import ABSENT, Push, Pushed
from cometify.client.pushes import PushOptions
from cometify.integration.after_commit import checked, send

from .conf import client


def push(identifier: str, content: object = ABSENT, **options: Unpack[PushOptions]) -> Pushed:
    """Push to one identifier now. See `Push` for the arguments. Raises `CometifyError`.

    Within a transaction use `push_on_commit`, because a page must not hear of a row that it cannot read.
    """
    return client().push(identifier, content, **options)


def push_on_commit(
    identifier: str, content: object = ABSENT, *, using: str | None = None, **options: Unpack[PushOptions]
) -> None:
    """Push to one identifier after the commit, or at once outside of a transaction. A rollback forgets it.

    It is pushed at most once: never, if the process ends first, or if the push server cannot be reached within the timeout.
    `outbox.add` makes sure that it is pushed. See `Push` for the arguments. `using`: the database.

    Raises `CometifyError` if the push cannot be sent, so that the transaction can roll back. A failure after the commit is
    logged.
    """
    batch_on_commit([Push(identifier, content, **options)], using=using)


def batch_on_commit(pushes: Iterable[Push], *, using: str | None = None) -> None:
    """Push all of these after the commit, in requests of up to 100, each all or none. See `push_on_commit`."""
    transaction.on_commit(partial(send, client(), checked(pushes)), using=using)
