"""The naive model: a list of every push ever made, and section 3 of the contract, read word by word.

It shares no code with the server, and nothing in it is fast.
"""

import json
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

SECOND = 1_000_000
THREE_MINUTES = 180 * SECOND
TEN_MINUTES = 600 * SECOND
DAY = 86_400 * SECOND
TOKENED = frozenset(["chat", "metrics"])
"""The identifiers that the token of a group is for."""
EXACT = 2**53 - 1


def compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@attrs.define(eq=False)
class Made:
    """A push that was made."""

    identifier: str
    text: str
    secret: bool
    push_id: int | None
    position: int
    kept: bool = True
    frame: bytes = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        push_id = str(self.push_id) if self.push_id is not None and self.push_id > EXACT else self.push_id
        self.frame = compact(
            {
                "type": "push",
                "identifier": self.identifier,
                "push_id": push_id,
                "text": self.text,
                "position": self.position,
            }
        )


@attrs.frozen
class Moment:
    """The time of the account and the floors (public, secret) at the moment of a write."""

    now: int
    made: int
    """The number of pushes so far."""
    floors: dict[str, tuple[int, int]]


class Kept:
    """Every push of the account, and which of them are kept."""

    def __init__(self, began: int, most_pushes: int, most_bytes: int, most_in_all: int, names: Iterable[str]) -> None:
        self.pushes: list[Made] = []
        self.now = self.began = began
        self._floors = dict.fromkeys(names, (began, began))
        self._most_pushes = most_pushes
        self._most_bytes = most_bytes
        self._most_in_all = most_in_all

    def moment(self) -> Moment:
        return Moment(self.now, len(self.pushes), dict(self._floors))

    def advance(self, clock: int) -> None:
        self.now = max(self.now, clock)

    def make(self, push: Made) -> None:
        assert not self.pushes or push.position > self.pushes[-1].position
        assert self.now <= push.position <= self.now + 1
        self.now = push.position
        self.pushes.append(push)
        ring = [
            other
            for other in self.pushes
            if other.kept and (other.identifier, other.secret) == (push.identifier, push.secret)
        ]
        while len(ring) > self._most_pushes or sum(len(other.frame) for other in ring) > self._most_bytes:
            self._drop(ring.pop(0))
        self.expire(push.secret)

    def expire(self, *kinds: bool, bound: bool = True) -> None:
        """Drop pushes that are ten minutes old, and (`bound`) those beyond the bytes that the account may keep of a kind.

        `kinds`: False for public pushes, True for secret ones.
        """
        for secret in kinds:
            kept = [push for push in self.pushes if push.kept and push.secret is secret]
            while kept and (
                kept[0].position <= self.now - TEN_MINUTES
                or (bound and sum(len(push.frame) for push in kept) > self._most_in_all)
            ):
                self._drop(kept.pop(0))

    def _drop(self, push: Made) -> None:
        push.kept = False
        public, secret = self._floors[push.identifier]
        self._floors[push.identifier] = (public, push.position) if push.secret else (push.position, secret)


@attrs.frozen
class Asked:
    """One group as it was asked for: the names as spelled, and for each its internal id if there are any."""

    names: tuple[str, ...]
    ids: tuple[int, ...] | None
    key: str  # "none", "right", "wrong", or "token", which is right for those of TOKENED
    position: int | None

    @property
    def folded(self) -> list[str]:
        return [name.lower() for name in self.names]

    def right(self, name: str) -> bool:
        return self.key == "right" or (self.key == "token" and name in TOKENED)

    @property
    def is_warned(self) -> bool:
        return self.key == "wrong" or (self.key == "token" and TOKENED.isdisjoint(self.folded))


@attrs.frozen
class Share:
    """The pushes of one identifier that one group lets through: a row of the contract's table."""

    above: int
    since: int
    unnumbered_since: int
    secret: bool

    def lets(self, push: Made) -> bool:
        """Return True if a later push like this one would come."""
        if push.secret and not self.secret:
            return False
        return push.push_id is None or push.push_id > self.above

    def gives(self, push: Made) -> bool:
        if push.position <= self.since or (push.push_id is None and push.position <= self.unnumbered_since):
            return False
        return self.lets(push)


def share_on_joining(internal_id: int | None, position: int | None, right: bool, now: int) -> Share:
    above = internal_id or -1
    if position is not None:
        at = min(position, now)
        return Share(above, at, at, right)
    if internal_id is None:
        return Share(above, now, now, right)
    if internal_id == 0:
        return Share(above, now - TEN_MINUTES, now - TEN_MINUTES, right)
    return Share(above, now - THREE_MINUTES, now, right)


@attrs.define(eq=False)
class Listen:
    """One `listen` of a listener. `at`: the position that the server had reached with it (None: it is the first)."""

    groups: tuple[Asked, ...]
    moment: Moment
    at: int | None
    shares: dict[str, list[Share]]
    before: dict[str, list[Share]]
    lost: set[str]
    has_ready: bool
    at_once: bool
    """True if it is answered even if there is nothing to tell."""
    spared: dict[str, tuple[int, int]]
    """The positions up to which no public, and no secret push was dropped that it could have wanted."""
    until: int | None = None
    """The position at which the next `listen` replaced this one."""

    def secret(self, name: str) -> bool:
        return any(share.secret for share in self.shares[name])

    def since(self, name: str) -> tuple[int, int]:
        """Return the positions above which a public, and a secret push of the identifier can be missing."""
        shares, (public, secret) = self.shares[name], self.spared[name]
        return (
            max(public, min(share.since for share in shares)),
            max(secret, min([share.since for share in shares if share.secret], default=2**63)),
        )

    def gives(self, push: Made) -> bool:
        return (self.until is None or push.position <= self.until) and any(
            share.gives(push) for share in self.shares.get(push.identifier, ())
        )


def listen(kept: Kept, groups: tuple[Asked, ...], before: Listen | None, at: int | None, *, poll: bool) -> Listen:
    """Return the promise from now on. The engine has just dropped the public pushes older than ten minutes."""
    moment = kept.moment()
    joined = {} if before is None else before.shares
    shares: dict[str, list[Share]] = {}
    lost: set[str] = set()
    for group in groups:
        for index, name in enumerate(group.folded):
            internal_id = None if group.ids is None else group.ids[index]
            if name in joined:
                assert at is not None
                new = [
                    Share(share.above, max(share.since, at), max(share.unnumbered_since, at), group.right(name))
                    for share in joined[name]
                ]
            else:
                share = share_on_joining(internal_id, group.position, group.right(name), moment.now)
                new = [share]
                if group.position is not None:
                    if group.position > moment.now or group.position < moment.now - DAY:
                        lost.add(name)
                elif internal_id and any(
                    push.kept and push.identifier == name and push.position <= share.since and share.lets(push)
                    for push in kept.pushes
                    if push.push_id is not None
                ):
                    lost.add(name)
            shares.setdefault(name, []).extend(new)
    spared = {name: spared_of(kept, name, those) for name, those in shares.items()}
    going_on = {name: joined[name] for name in shares if name in joined}
    at_once = not poll or any(group.position is None for group in groups)
    has_ready = at_once or any(group.is_warned for group in groups)
    return Listen(groups, moment, at, shares, going_on, lost, has_ready, at_once, spared)


def spared_of(kept: Kept, name: str, shares: Sequence[Share]) -> tuple[int, int]:
    """Return the floors (public, secret), or lower positions if a share wants pushes like those that were dropped.

    A drop that no share wants costs nothing. If a share wants pushes like a dropped one, everything above its first cursor
    counts, whenever the drop was.
    """
    dropped = [push for push in kept.pushes if push.identifier == name and not push.kept]
    spared = []
    for secret, floor in zip((False, True), kept.moment().floors[name], strict=True):
        gone = [push for push in dropped if push.secret == secret]
        hurt = [
            share.since
            for share in shares
            if (share.secret or not secret)
            and (
                share.since < kept.began
                or any(
                    push.position > share.unnumbered_since if push.push_id is None else push.push_id > share.above
                    for push in gone
                )
            )
        ]
        spared.append(min(hurt, default=floor))
    return spared[0], spared[1]


@attrs.frozen
class Frame:
    """A frame as it came. `end`: its end in the stream. `moment`: that of its write."""

    json: bytes
    end: int
    moment: Moment
    value: Any


def carried(encoding: str, data: bytes, position: int | None) -> bytes:
    """Encode a frame for a transport by the standards, without the server's code."""
    plain, _, chunked = encoding.partition("+")
    if plain == "websocket":
        length = len(data)
        if length <= 125:
            head = bytes([0x81, length])
        elif length <= 0xFFFF:
            head = bytes([0x81, 126, length >> 8, length & 255])
        else:
            head = bytes([0x81, 127]) + length.to_bytes(8, "big")
        return head + data
    if plain == "events":
        line = b"data: " + data + b"\n" + (b"" if position is None else f"id: {position}\n".encode()) + b"\n"
    else:
        line = data + b"\n"
    return f"{len(line):x}\r\n".encode() + line + b"\r\n" if chunked else line


def frames_of(encoding: str, stream: bytes, starts: Sequence[int], moments: Sequence[Moment]) -> list[Frame]:
    """Read a whole stream. It must consist of whole frames, and of exactly their bytes."""
    frames = []
    at = 0
    while at < len(stream):
        data = payload = _payload(encoding, stream, at)
        is_deflated = encoding == "websocket+deflated" and stream[at] == 0xC1
        if is_deflated:
            data = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
        value = json.loads(data)
        assert is_deflated <= (value["type"] == "push")
        position = value["positions"][0] if value["type"] == "ready" else value.get("position")
        whole = carried(encoding, payload, position)
        if is_deflated:
            whole = b"\xc1" + whole[1:]
        assert stream[at : at + len(whole)] == whole
        frames.append(Frame(data, at + len(whole), moments[bisect_right(starts, at) - 1], value))
        at += len(whole)
    return frames


def _payload(encoding: str, stream: bytes, at: int) -> bytes:
    plain, _, chunked = encoding.partition("+")
    if plain == "websocket":
        length, begin = stream[at + 1], at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, begin = int.from_bytes(stream[begin : begin + size], "big"), begin + size
        return stream[begin : begin + length]
    begin = stream.index(b"\r\n", at) + 2 if chunked else at
    line = stream[begin : stream.index(b"\n", begin)]
    return line.removeprefix(b"data: ") if plain == "events" else line


@attrs.frozen
class _Gap:
    """A gap of an identifier: pushes above `reached` and up to the floors (public, secret) were lost."""

    reached: int
    floors: tuple[int, int]


class Audit:
    """Compares the frames that one listener got with the promise."""

    def __init__(
        self, kept: Kept, listens: Sequence[Listen], frames: Sequence[Frame], heartbeat: int, *, poll: bool
    ) -> None:
        self.kept = kept
        self.listens = listens
        self.frames = frames
        self.heartbeat = heartbeat
        self.poll = poll
        self._by_position = {push.position: push for push in kept.pushes}
        self._gaps: dict[str, list[_Gap]] = {}
        self._got: set[int] = set()
        self._last: dict[str, int] = {}

    def check(self, ended: int | None, *, settled: bool) -> None:
        """Raise AssertionError if a promise was broken.

        `settled`: the listener is at the head, so nothing may be missing. `ended`: the position up to which a listener that
        has parted must have everything.
        """
        assert self.listens
        if not self.frames:
            if settled:
                assert self.poll
                assert not self.listens[0].lost
                self._nothing_missing(self.listens[0], None)
            return
        parts = self._parts()
        pending: set[str] = set()
        self._told = 0
        for number, (listen, begin, end) in enumerate(parts):
            assert listen.at is None or listen.at >= self._told, "it had been told that it has all up to there"
            for known in (self._gaps, self._last):
                for name in known.keys() - listen.before.keys():
                    del known[name]
            # An identifier that was given up and is asked for again is replayed as if it were new.
            self._got = {position for position in self._got if self._by_position[position].identifier in listen.before}
            last = number == len(parts) - 1
            pending = self._check_part(listen, begin, end, pending, followed=not last)
            until = listen.until
            if until is None:
                until = ended if ended is not None else (None if settled else self._reached)
            self._nothing_missing(listen, until)
        if self.poll:
            at_head = not any(
                listen.gives(push) and push.position > self._reached
                for push in self.kept.pushes[: self.frames[-1].moment.made]
            )
            ended_by = self.frames[-1].value["type"]
            assert ended_by == "heartbeat" or not at_head, "a poll that reached the head tells it"
        elif settled:
            listen, begin, end = parts[-1]
            assert any(frame.value["type"] == "heartbeat" for frame in self.frames[begin:end]), "no end of the replay"

    def _parts(self) -> list[tuple[Listen, int, int]]:
        """Divide the frames among the listens. Each begins with its ready, except for a poll that gets none."""
        if not self.listens[0].has_ready:
            assert len(self.listens) == 1
            assert all(frame.value["type"] != "ready" for frame in self.frames)
            return [(self.listens[0], 0, len(self.frames))]
        begins = [index for index, frame in enumerate(self.frames) if frame.value["type"] == "ready"]
        assert begins[0] == 0
        assert len(begins) <= len(self.listens)
        ends = [*begins[1:], len(self.frames)]
        return [(listen, begin, end) for listen, begin, end in zip(self.listens, begins, ends, strict=False)]

    def _check_part(self, listen: Listen, begin: int, end: int, pending: set[str], *, followed: bool) -> set[str]:
        """Check the frames of a listen one by one.

        Returns the identifiers whose loss must be told after the next ready, because both answers were in one write.
        """
        self._reached = 0
        self._told = 0  # the position of the last heartbeat
        self._nothing_up_to(listen.moment.now, listen.moment)
        must = listen.lost | (pending & listen.before.keys())
        first = begin
        if listen.has_ready:
            self._check_ready(listen, self.frames[begin])
            first += 1
        gap = first < end and self.frames[first].value["type"] == "gap"
        if first == end and followed:
            pending = must  # two answers are in one write, and the gap comes after the second
        else:
            pending = set()
            if first < end or listen.has_ready:
                self._check_first_gap(listen, self.frames[begin], self.frames[first] if gap else None, must)
        last = -1
        for index in range(first, end):
            frame = self.frames[index]
            kind = frame.value["type"]
            if kind == "push":
                last = self._check_push(listen, frame, last)
            elif kind == "gap":
                self._check_gap(listen, frame, must if index == first else set())
            else:
                self._check_heartbeat(listen, index, frame)
        return pending

    def _check_ready(self, listen: Listen, frame: Frame) -> None:
        value = frame.value
        assert frame.json == compact(value)
        assert list(value) == ["type", "heartbeat", "secret", "warnings", "positions"]
        assert value["heartbeat"] == self.heartbeat
        assert value["secret"] == [name for name in listen.shares if listen.secret(name)]
        assert len(value["warnings"]) == sum(group.is_warned for group in listen.groups)
        assert len(value["positions"]) == len(listen.groups)
        now = listen.moment.now
        for group, position in zip(listen.groups, value["positions"], strict=True):
            new = [
                share_on_joining(
                    None if group.ids is None else group.ids[index], group.position, group.right(name), now
                ).since
                for index, name in enumerate(group.folded)
                if name not in listen.before
            ]
            if len(new) == len(group.names):
                assert position == min(new), "the first cursor of a group"
            else:
                assert listen.at is not None
                assert min([*new, listen.at]) <= position <= min([*new, now])

    def _check_first_gap(self, listen: Listen, first: Frame, gap: Frame | None, must: set[str]) -> None:
        told = set() if gap is None else set(gap.value["identifiers"])
        # A poll that waits for its first answer has passed pushes that it does not want, and drops of such pushes.
        moment = first.moment if listen.at_once else listen.moment
        for name in listen.shares:
            if name in must or self._can_have_lost(listen, name, moment):
                assert name in told, f"no gap was told of {name}"

    def _can_have_lost(self, listen: Listen, name: str, moment: Moment) -> bool:
        known = listen.since(name)
        for gap in self._gaps.get(name, ()):
            known = (max(known[0], gap.floors[0]), max(known[1], gap.floors[1]))
        return any(floor > max(here, self._reached) for floor, here in zip(moment.floors[name], known, strict=True))

    def _check_push(self, listen: Listen, frame: Frame, last: int) -> int:
        position = frame.value["position"]
        push = self._by_position[position]
        assert frame.json == push.frame
        assert position > last, "out of order"
        assert position not in self._got, "twice"
        assert listen.gives(push), "not for this listener"
        assert position > self._told, "a heartbeat has told that there is nothing more"
        assert position > self._last.get(push.identifier, 0), "a page would drop it"
        self._got.add(position)
        self._last[push.identifier] = position
        self._reached = max(self._reached, position)
        return position

    def _check_gap(self, listen: Listen, frame: Frame, must: set[str]) -> None:
        names = frame.value["identifiers"]
        assert frame.json == compact({"type": "gap", "identifiers": names})
        assert names
        assert len(set(names)) == len(names)
        for name in names:
            assert name in must or self._can_have_lost(listen, name, frame.moment), f"nothing of {name} can be lost"
            public, secret = frame.moment.floors[name]
            # A gap for a listener without a key tells nothing about secret pushes, should the listener get a key later.
            self._gaps.setdefault(name, []).append(_Gap(self._reached, (public, secret if listen.secret(name) else 0)))

    def _check_heartbeat(self, listen: Listen, index: int, frame: Frame) -> None:
        value = frame.value
        position = value["position"]
        assert frame.json == compact({"type": "heartbeat", "position": position})
        assert position == frame.moment.now or (self.poll and position < frame.moment.now)
        assert position >= self._told
        self._nothing_up_to(position, frame.moment)
        self._told = position
        self._reached = max(self._reached, position)
        self._nothing_missing(listen, position)
        if self.poll:
            assert index == len(self.frames) - 1, "a heartbeat ends a poll"

    def _nothing_up_to(self, position: int, moment: Moment) -> None:
        assert all(push.position > position for push in self.kept.pushes[moment.made :]), "it was told that none comes"

    def _nothing_missing(self, listen: Listen, until: int | None) -> None:
        for push in self.kept.pushes:
            if until is not None and push.position > until:
                break
            if push.position in self._got or not listen.gives(push):
                continue
            assert not push.kept, f"missing: {push}"
            gaps = self._gaps.get(push.identifier, ())
            assert any(gap.reached < push.position <= gap.floors[push.secret] for gap in gaps), (
                f"lost without a word: {push}"
            )
