"""The findings on a terminal, in a pipe, or as JSON."""

import json
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cometify.command.doctor.findings import Finding, Status
from cometify.command.escapes import escaped

_COLOURS = {Status.OK: "green", Status.SKIPPED: "dim", Status.WARNING: "yellow", Status.FAILED: "bold red"}


def sentence(finding: Finding) -> str:
    """The finding and its remedy, with the name of the fault before them. A text of the server is escaped."""
    parts = [f"{finding.fault}:" if finding.fault else "", finding.detail, finding.remedy]
    return escaped(" ".join(filter(None, parts)))


def line_of(finding: Finding) -> str:
    """One line, for a pipe."""
    return f"{finding.status:<8} {finding.check:<12} {sentence(finding)}"


def show_table(findings: Sequence[Finding]) -> None:
    """A table, for a terminal."""
    table = Table(show_header=False, box=None, pad_edge=False)
    for finding in findings:
        table.add_row(
            Text(finding.status, style=_COLOURS[finding.status]), Text(finding.check), Text(sentence(finding))
        )
    Console().print(table)


def show_json(url: str, findings: Sequence[Finding]) -> None:
    """One object, for a program."""
    rows = [
        {
            "check": finding.check,
            "status": finding.status,
            "fault": finding.fault or None,
            "detail": finding.detail,
            "remedy": finding.remedy or None,
            **{name: round(value, 3) for name, value in finding.figures.items()},
        }
        for finding in findings
    ]
    click.echo(json.dumps({"url": url, "ok": is_sound(findings), "findings": rows}))


def is_sound(findings: Sequence[Finding]) -> bool:
    """True if no check failed."""
    return all(finding.status is not Status.FAILED for finding in findings)
