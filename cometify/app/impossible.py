"""Transitions that a table of states does not have. They are faults of Cometify."""

import traceback
from enum import Enum

from twisted.logger import Logger

from cometify.core import state_table

log = Logger()


def log_impossible_transitions() -> None:
    """Log impossible transitions instead of raising: a fault of one listener or session must not end other things."""
    state_table.on_impossible = _log_impossible


def _log_impossible(subject: str, state: Enum, event: Enum) -> None:
    log.error(
        "{subject}: {event} cannot happen in state {state}. The state stays. Please report this.\n"
        "Traceback (most recent call last):\n{stack}",
        subject=subject,
        event=event.name,
        state=state.name,
        stack="".join(traceback.format_stack()),
    )
