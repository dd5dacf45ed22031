"""What publishers were promised and what a listener got are compared: the one place that says what is a fault.

A listener gets every push that was acknowledged after it had joined, that it may see, once, at the position that the
publisher was told, in the order of positions over all its identifiers, over all its connections. What it did not get must
have been told by a gap at the place where it is missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A push that was answered 200. Texts are unique."""

    identifier: str
    text: str
    secret: bool
    position: int


@dataclass(frozen=True, slots=True)
class Got:
    """A push as a listener got it."""

    identifier: str
    text: str
    position: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A gap as a listener was told it."""

    identifiers: tuple[str, ...]


@dataclass
class Diary:
    """What one listener was told, in that order, whatever connection it came by.

    `rights`: for each of its identifiers, whether it has the right to secret pushes; `begins`: for each the position after
    which it has everything (none before it has joined); `high`: the highest position, heartbeats included, that it was
    told before `entries`; `known`: the texts that it had before them; `remarks`: what was wrong with a frame by itself.
    """

    name: str
    rights: Mapping[str, bool]
    begins: dict[str, int] = field(default_factory=dict)
    entries: list[Got | Gap | int] = field(default_factory=list)
    high: int = 0
    known: set[str] = field(default_factory=set)
    remarks: list[str] = field(default_factory=list)

    def untold(self) -> list[str]:
        """The identifiers of which it was told no gap, in words; for when Redis forgets everything."""
        told = {name for entry in self.entries if isinstance(entry, Gap) for name in entry.identifiers}
        return [f"{self.name}: was told no gap in {name}" for name in self.rights if name not in told]

    def turn_page(self) -> None:
        """What there is has been compared."""
        for entry in self.entries:
            if isinstance(entry, Got):
                self.known.add(entry.text)
        self.high = _highest(self)
        self.entries = []
        self.remarks = []


@dataclass
class Findings:
    """What is wrong, in words for whoever looks for the reason. `gaps` are no fault where pushes may be lost."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    missed: int = 0
    got: int = 0

    def add(self, other: "Findings") -> None:
        """Have the other's too."""
        self.lost += other.lost
        self.doubled += other.doubled
        self.disordered += other.disordered
        self.other += other.other
        self.gaps += other.gaps
        self.missed += other.missed
        self.got += other.got

    def wrong(self, *, gaps_allowed: bool = False) -> list[str]:
        """Everything that is a violation."""
        return [*self.lost, *self.doubled, *self.disordered, *self.other, *([] if gaps_allowed else self.gaps)]


def compare(acknowledged: Iterable[Acknowledged], diary: Diary) -> Findings:
    """What is wrong with a listener's diary, given all that was acknowledged since its page was turned."""
    promised = {push.text: push for push in acknowledged}
    findings = Findings(other=[f"{diary.name}: {remark}" for remark in diary.remarks])
    _compare_what_came(promised, diary, findings)
    _compare_what_is_missing(promised.values(), diary, findings)
    return findings


def _highest(diary: Diary) -> int:
    high = diary.high
    for entry in diary.entries:
        if isinstance(entry, Got):
            high = max(high, entry.position)
        elif isinstance(entry, int):
            high = max(high, entry)
    return high


def _compare_what_came(promised: Mapping[str, Acknowledged], diary: Diary, findings: Findings) -> None:
    high = diary.high
    seen = set(diary.known)
    for entry in diary.entries:
        if isinstance(entry, Gap):
            findings.gaps.append(f"{diary.name}: a gap in {', '.join(entry.identifiers)} after {high}")
        elif isinstance(entry, int):
            if entry < high:
                findings.disordered.append(f"{diary.name}: a heartbeat at {entry} after {high}")
            high = max(high, entry)
        else:
            findings.got += 1
            _compare_push(promised.get(entry.text), entry, diary, high, seen, findings)
            high = max(high, entry.position)


def _compare_push(
    push: Acknowledged | None, got: Got, diary: Diary, high: int, seen: set[str], findings: Findings
) -> None:
    what = f"{diary.name}: {got.text} of {got.identifier} at {got.position}"
    if got.text in seen:
        findings.doubled.append(f"{what} came again")
    elif push is None or push.identifier != got.identifier or got.identifier not in diary.rights:
        findings.other.append(f"{what} was never pushed to it")
    elif push.secret and not diary.rights[got.identifier]:
        findings.other.append(f"{what} is secret, and came without the right")
    elif push.position != got.position:
        findings.other.append(f"{what} was acknowledged at {push.position}")
    if got.position <= high and got.text not in seen:
        findings.disordered.append(f"{what} came after {high}")
    seen.add(got.text)


def _compare_what_is_missing(promised: Iterable[Acknowledged], diary: Diary, findings: Findings) -> None:
    got = {entry.text for entry in diary.entries if isinstance(entry, Got)} | diary.known
    told = {identifier: _told(diary.entries, identifier) for identifier in diary.rights}
    for push in promised:
        name = push.identifier
        if push.text in got or name not in diary.rights or (push.secret and not diary.rights[name]):
            continue
        if name not in diary.begins:
            findings.lost.append(f"{diary.name}: never joined {name}, and so lost {push.text}")
        elif push.position > diary.begins[name]:
            if any(after < push.position < before for after, before in told[name]):
                findings.missed += 1
            else:
                findings.lost.append(
                    f"{diary.name}: lost {push.text} of {name} at {push.position}, and was told no gap"
                )


def _told(entries: Sequence[Got | Gap | int], identifier: str) -> list[tuple[int, float]]:
    """Where gaps were told of an identifier: between the positions of the push before and of the push after each."""
    told: list[tuple[int, float]] = []
    last = 0
    open_since: int | None = None
    for entry in entries:
        if isinstance(entry, Gap) and identifier in entry.identifiers and open_since is None:
            open_since = last
        elif isinstance(entry, Got) and entry.identifier == identifier:
            if open_since is not None:
                told.append((open_since, entry.position))
                open_since = None
            last = entry.position
    if open_since is not None:
        told.append((open_since, float("inf")))
    return told
