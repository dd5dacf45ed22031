"""The keys of a dictionary in alphabetical order, made when somebody asks for them.

Hardly any account is asked for the list of its identifiers. To keep the names of all accounts in order would make each first
push to an identifier, and each first join, 2 us slower. So the order is made with the first question, some names at a time,
and kept up to date from then on. The order is forgotten when nobody has asked for ten minutes.
"""

from collections.abc import Iterator, Mapping
from itertools import islice

from cometify.core.position import RETENTION
from cometify.core.sorted_names import SortedNames


class NameIndex:
    """The order of the keys of `names`. Whoever adds or removes a key must tell it.

    `order`: None while nobody asks.
    """

    __slots__ = ("_asked", "_forget_at", "_missing", "_names", "order")

    def __init__(self, names: Mapping[str, object]) -> None:
        self._names = names
        self._missing: Iterator[str] | None = None
        self._asked = False
        self._forget_at = 0
        self.order: SortedNames | None = None

    def ask(self, most: int) -> SortedNames | None:
        """Return the names in order; None if they are not all in order yet. Puts up to `most` of them in order."""
        self._asked = True
        order = self.order
        if order is None:
            order = self.order = SortedNames()
            # A copy, because names come and go meanwhile. It takes 35 ns a name, once in ten minutes at most.
            self._missing = iter(list(self._names))
        if self._missing is None:
            return order
        count = 0
        for name in islice(self._missing, most):
            count += 1
            if name in self._names:
                order.add(name)
        if count == most:
            return None
        self._missing = None
        return order

    def expire(self, now: int) -> None:
        """Forget the order if nobody has asked for ten minutes. `now`: a position."""
        if self._asked:
            self._asked, self._forget_at = False, now + RETENTION
        elif self.order is not None and now >= self._forget_at:
            self.order = self._missing = None
