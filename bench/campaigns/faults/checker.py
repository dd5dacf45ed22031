"""The checker: compares a listener's history with the pushes that publishers were promised.

This module alone decides what counts as a violation. The rule: a listener receives every push that was acknowledged
after it had joined and that it may see. It receives each one once, at the position that the publisher was told, in the
order of positions over all its identifiers and all its connections. Each push that it did not receive must be covered by
a gap that was told between the push before it and the push after it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.rig.history import Gap, History, Received


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A push that was answered 200. Texts are unique."""

    identifier: str
    text: str
    secret: bool
    position: int


@dataclass
class Findings:
    """Violations, each in words for the person who looks for the reason.

    `gaps` count as violations only where no push may be lost. `missed` pushes were covered by a gap. `received` is the
    number of all pushes that came.
    """

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    missed: int = 0
    received: int = 0

    def add(self, other: "Findings") -> None:
        """Add another's findings to these."""
        self.lost += other.lost
        self.doubled += other.doubled
        self.disordered += other.disordered
        self.other += other.other
        self.gaps += other.gaps
        self.missed += other.missed
        self.received += other.received

    def violations(self, *, gaps_allowed: bool = False) -> list[str]:
        """All violations."""
        return [*self.lost, *self.doubled, *self.disordered, *self.other, *([] if gaps_allowed else self.gaps)]


def check(acknowledged: Iterable[Acknowledged], history: History) -> Findings:
    """Check one listener's history against all pushes that were acknowledged since the last check."""
    promised = {push.text: push for push in acknowledged}
    findings = Findings(other=[f"{history.name}: {remark}" for remark in history.remarks])
    _check_entries(promised, history, findings)
    _check_for_losses(promised.values(), history, findings)
    return findings


def _check_entries(promised: Mapping[str, Acknowledged], history: History, findings: Findings) -> None:
    highest = history.highest
    seen = set(history.known_texts)
    for entry in history.entries:
        if isinstance(entry, Gap):
            findings.gaps.append(f"{history.name}: a gap in {', '.join(entry.identifiers)} after {highest}")
        elif isinstance(entry, int):
            if entry < highest:
                findings.disordered.append(f"{history.name}: a heartbeat at {entry} after {highest}")
            highest = max(highest, entry)
        else:
            findings.received += 1
            _check_push(promised.get(entry.text), entry, history, highest, seen, findings)
            highest = max(highest, entry.position)


def _check_push(
    push: Acknowledged | None, received: Received, history: History, highest: int, seen: set[str], findings: Findings
) -> None:
    what = f"{history.name}: {received.text} of {received.identifier} at {received.position}"
    if received.text in seen:
        findings.doubled.append(f"{what} came again")
    elif push is None or push.identifier != received.identifier or received.identifier not in history.rights:
        findings.other.append(f"{what} was never pushed to it")
    elif push.secret and not history.rights[received.identifier]:
        findings.other.append(f"{what} is secret, and came without the right")
    elif push.position != received.position:
        findings.other.append(f"{what} was acknowledged at {push.position}")
    if received.position <= highest and received.text not in seen:
        findings.disordered.append(f"{what} came after {highest}")
    seen.add(received.text)


def _check_for_losses(promised: Iterable[Acknowledged], history: History, findings: Findings) -> None:
    received = {entry.text for entry in history.entries if isinstance(entry, Received)} | history.known_texts
    covered = {identifier: _covered_by_gaps(history.entries, identifier) for identifier in history.rights}
    for push in promised:
        name = push.identifier
        if push.text in received or name not in history.rights or (push.secret and not history.rights[name]):
            continue
        if name not in history.joined_at:
            findings.lost.append(f"{history.name}: never joined {name}, and so lost {push.text}")
        elif push.position > history.joined_at[name]:
            if any(after < push.position < before for after, before in covered[name]):
                findings.missed += 1
            else:
                findings.lost.append(
                    f"{history.name}: lost {push.text} of {name} at {push.position}, and was told no gap"
                )


def _covered_by_gaps(entries: Sequence[Received | Gap | int], identifier: str) -> list[tuple[int, float]]:
    """The open intervals of positions that gaps cover: from the push before each gap to the push after it."""
    covered: list[tuple[int, float]] = []
    last = 0
    open_since: int | None = None
    for entry in entries:
        if isinstance(entry, Gap) and identifier in entry.identifiers and open_since is None:
            open_since = last
        elif isinstance(entry, Received) and entry.identifier == identifier:
            if open_since is not None:
                covered.append((open_since, entry.position))
                open_since = None
            last = entry.position
    if open_since is not None:
        covered.append((open_since, float("inf")))
    return covered
