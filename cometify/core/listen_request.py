"""Requests to listen, read from a query or from a `listen` frame.

A query asks for one group. A frame asks for any number of groups, and is the body of a POST or a WebSocket message. See
docs/protocol-listening.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import attrs

from cometify.core import errors
from cometify.core.group import Group
from cometify.core.identifier import (
    MAX_IDENTIFIERS,
    MAX_NAMED,
    PLAIN,
    Names,
    Spelling,
    names_from_json,
    names_from_query,
)
from cometify.core.integer import MAX_EXACT, read_integer
from cometify.core.listener_id import read_listener_id
from cometify.core.strict_json import read_json


@attrs.frozen
class ListenRequest:
    """The groups that one listener asks for, and its own id if it has one."""

    groups: tuple[Group, ...]
    listener: str | None = None

    @property
    def names(self) -> Iterable[str]:
        """The identifiers of all groups (lower case), each once. Refused groups do not count."""
        if len(self.groups) == 1:
            return self.groups[0].names.folded
        return {name for group in self.groups if not group.is_refused for name in group.names.folded}

    @property
    def refused(self) -> list[int]:
        """The places of the refused groups, in the order asked. The first group has the place 0."""
        return [place for place, group in enumerate(self.groups) if group.is_refused]

    @property
    def is_keyed(self) -> bool:
        """True if one of the groups asks for secret pushes."""
        return any(map(_IS_KEYED, self.groups))

    @property
    def begins_now(self) -> bool:
        """True if all groups ask for future pushes only."""
        return all(map(_BEGINS_NOW, self.groups))


# map() with these takes half the time of a generator expression.
_IS_KEYED, _BEGINS_NOW = attrgetter("is_keyed"), attrgetter("begins_now")


def listen_request_from_query(
    parameters: Mapping[str, Sequence[str]], resume: str | None = None, spelling: Spelling = PLAIN
) -> ListenRequest:
    """Read one group from the parameters of a query; unknown parameters are ignored.

    `resume`: the Last-Event-ID, which wins over `position`. `spelling`: of the account. Raises `Refused`:
    missing_parameter, repeated_parameter, invalid_parameter, invalid_identifier.
    """
    identifiers, secure_key, token, position, listener = [_only(parameters, name) for name in _PARAMETERS]
    after = read_integer(resume, "Last-Event-ID", MAX_EXACT) if resume else position
    group = _group(names_from_query(identifiers or "", spelling), secure_key, token, after)
    return ListenRequest((group,), read_listener_id(listener))


_PARAMETERS = ("identifiers", "secureKey", "token", "position", "listener")


def wants_raw_events(parameters: Mapping[str, Sequence[str]]) -> bool:
    """Return whether an event stream is asked for in the form `raw`.

    Raises `Refused`: repeated_parameter, invalid_parameter.
    """
    form = _only(parameters, "form")
    if form not in (None, "raw"):
        raise errors.Refused(errors.INVALID_PARAMETER, "form must be raw, or left out for frames of JSON.")
    return form is not None


def _only(parameters: Mapping[str, Sequence[str]], name: str) -> str | None:
    """Return the value of a parameter, or None if it is missing or empty. Raises `Refused` (repeated_parameter)."""
    given = parameters.get(name)
    if given is None:
        return None
    if len(given) > 1:
        raise errors.Refused(errors.REPEATED_PARAMETER, f"{name} is given more than once: send it once.")
    return given[0] or None if given else None


def listen_request_from_frame(data: bytes, spelling: Spelling = PLAIN) -> ListenRequest:
    """Read the groups of a `listen` frame, which is JSON; unknown members are ignored.

    `spelling`: of the account. Raises `Refused`: invalid_body, missing_parameter, invalid_parameter, invalid_identifier.
    """
    frame = read_json(data, errors.INVALID_PARAMETER)
    if not isinstance(frame, dict) or frame.get("type") != "listen":
        raise errors.Refused(
            errors.INVALID_BODY, 'Expected a listen frame: {"type":"listen","groups":[{"identifiers":["chat"]}]}.'
        )
    asked = frame.get("groups")
    if asked is None:
        raise errors.Refused(
            errors.MISSING_PARAMETER, 'groups is missing: write {"groups":[{"identifiers":["chat"]}]}.'
        )
    if not isinstance(asked, list) or not asked or not all(isinstance(group, dict) for group in asked):
        raise errors.Refused(errors.INVALID_PARAMETER, "groups must be an array of at least one object.")
    groups = [_group_from_json(group, spelling) for group in asked]
    if sum([len(group.names.folded) for group in groups]) > MAX_IDENTIFIERS:
        groups = _refuse_beyond(groups)
    return ListenRequest(tuple(groups), read_listener_id(frame.get("listener")))


def _refuse_beyond(groups: Iterable[Group]) -> list[Group]:
    """Refuse each group that goes beyond the limits of one listener, counted with the groups before it that were not refused.

    One group too many must not cost the page all others. A later group that is small enough still joins.
    """
    different: set[str] = set()
    named = 0
    checked: list[Group] = []
    for group in groups:
        names = group.names.folded
        new = [name for name in names if name not in different]
        if len(different) + len(new) > MAX_IDENTIFIERS or named + len(names) > MAX_NAMED:
            checked.append(attrs.evolve(group, is_refused=True))
            continue
        different.update(new)
        named += len(names)
        checked.append(group)
    return checked


def _group_from_json(group: dict[str, Any], spelling: Spelling) -> Group:
    names = names_from_json(group.get("identifiers"), spelling)
    return _group(names, group.get("secureKey"), group.get("token"), group.get("position"))


def _group(names: Names, secure_key: object, token: object, position: object) -> Group:
    if secure_key is not None and not isinstance(secure_key, str):
        raise errors.Refused(errors.INVALID_PARAMETER, "secureKey must be a string: 32 hex digits.")
    if token is not None and not isinstance(token, str):
        raise errors.Refused(errors.INVALID_PARAMETER, "token must be a string: a JWT in its compact form.")
    if secure_key is not None and token is not None:
        raise errors.Refused(
            errors.INVALID_PARAMETER, "secureKey and token are both given for one group: send one of them."
        )
    if position is not None:
        position = read_integer(position, "position", MAX_EXACT)
    return Group(names, secure_key, position, token)
