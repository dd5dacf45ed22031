"""The costs of attacks as a Markdown table."""

from collections.abc import Iterable

from bench.campaigns.attacks.campaign import Cost

_HEAD = (
    "| attack | connections | sent, MB/s | CPU | memory, MB | longest turn, ms | p50, ms | p99, ms |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def row(cost: Cost, seconds: float) -> str:
    """One row of the table."""
    cells = (
        cost.attack.name,
        f"{cost.attack.connections:,}",
        f"{cost.sent / seconds / 1e6:.2f}",
        f"{cost.cpu:.0%}",
        f"{max(cost.memory, 0) / 1e6:.1f}",
        f"{cost.turn * 1e3:.0f}",
        f"{cost.p50 * 1e3:.1f}",
        f"{cost.p99 * 1e3:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def table(costs: Iterable[Cost], seconds: float) -> str:
    """The table of all attacks, in the order of their bounds."""
    return "\n".join([_HEAD, *(row(cost, seconds) for cost in costs)])
