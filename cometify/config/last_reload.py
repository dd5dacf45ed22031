"""The outcome of the last reload, for the metrics."""

import attrs


@attrs.define
class LastReload:
    """`is_successful`: the last reload, or the start, could use the file. `at`: Unix seconds of the last one that could.

    `at` is 0 in a process that does not read the file itself, such as a worker.
    """

    is_successful: bool = True
    at: float = 0.0
