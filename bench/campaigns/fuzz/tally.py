"""The counts of played inputs, and the inputs that the server did not stand."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from bench.campaigns.fuzz.conversation import Conversation


@dataclass(frozen=True)
class Fault:
    """An input that the server did not stand. `pieces`: its bytes as Python writes them."""

    number: int
    kind: str
    reason: str
    pieces: str


@dataclass
class Tally:
    """Inputs by kind, answers and frames by their words, and faults."""

    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)

    def add(self, conversation: Conversation) -> None:
        """Count a conversation that is over."""
        given = conversation.input
        self.kinds[given.kind] += 1
        self.outcomes.update(conversation.reader.outcomes)
        if conversation.fault:
            self.faults.append(Fault(given.number, given.kind, conversation.fault, repr(given.pieces)))

    def as_json(self) -> str:
        """Return the tally as JSON, for another process."""
        return json.dumps(
            {"kinds": self.kinds, "outcomes": self.outcomes, "faults": [asdict(one) for one in self.faults]}
        )


def tally_from_json(text: str) -> Tally:
    """Return the tally of another process."""
    values = json.loads(text)
    return Tally(Counter(values["kinds"]), Counter(values["outcomes"]), [Fault(**fault) for fault in values["faults"]])


def total(tallies: Iterable[Tally]) -> Tally:
    """Return the sum of tallies."""
    whole = Tally()
    for tally in tallies:
        whole.kinds += tally.kinds
        whole.outcomes += tally.outcomes
        whole.faults += tally.faults
    return whole
