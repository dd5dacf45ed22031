"""The names of attributes, which CPython must know before there are many instances of a class."""

from collections.abc import Iterable


def teach_names(of: type, names: Iterable[str]) -> None:
    """Let CPython know attributes that the instances of a class get after they are made.

    The instances of a class share the names of their attributes. CPython learns a name when an instance sets it, but it
    leaves less room for new names with each instance that is made. After about 30, an instance that sets an unknown
    attribute gets a dict of its own, and so does each one after it, until the process ends. Each look at such an instance
    goes to memory that no cache holds. After a restart hundreds of clients connect in one moment, so the first 30
    connections are made before any of them sets an attribute that it has only later.
    """
    taught: object = object.__new__(of)
    for name in names:
        setattr(taught, name, None)
