"""Look up the installed packages in a database of known vulnerabilities: `audit.py pip` or `audit.py npm`.

A known vulnerability is a failure. A database that does not answer is one line and no failure, because nobody could work
without a network otherwise. Run this with the Python whose packages count, in the repository.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

PATIENCE = 60
"""Seconds for a whole audit. A network that drops packets must not stop the work."""


class Unanswered(Exception):
    """The database said nothing that can be read."""


def answer_of(command: list[str], folder: str = ".") -> dict[str, Any]:
    """Run an audit that prints JSON, whatever its exit status. A command that cannot be understood is a failure."""
    try:
        done = subprocess.run(  # noqa: S603 - the commands are those below
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise Unanswered(f"no answer within {PATIENCE} s") from None
    if done.returncode > 1:
        sys.exit(f"{' '.join(command)} failed with status {done.returncode}:\n{done.stderr}")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise Unanswered((done.stderr.strip() or "it printed nothing").splitlines()[-1]) from None
    return dict(answer)


def pip() -> tuple[int, list[str], list[str]]:
    """Audit the packages beside this Python: how many were audited, which could not be, and the vulnerabilities.

    `pip freeze` leaves out pip and setuptools. A new environment has old ones, and Cometify does not run on them.
    """
    freeze = [sys.executable, "-m", "pip", "freeze", "--disable-pip-version-check", "--exclude", "cometify"]
    packages = subprocess.run(freeze, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own command
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
        requirements.write(packages)
        requirements.flush()
        options = ["--disable-pip", "--no-deps", "--format=json", "--progress-spinner=off", "--timeout=10"]
        audit = [sys.executable, "-m", "pip_audit", *options, "--requirement", requirements.name]
        dependencies = answer_of(audit)["dependencies"]
    left_out = [dependency["name"] for dependency in dependencies if "skip_reason" in dependency]
    if len(left_out) == len(dependencies):
        raise Unanswered(dependencies[0]["skip_reason"] if dependencies else "there are no packages")
    found = [
        f"{dependency['name']} {dependency['version']}: {vulnerability['id']}, "
        f"fixed in {', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for dependency in dependencies
        for vulnerability in dependency.get("vulns", ())
    ]
    return len(dependencies) - len(left_out), left_out, found


def npm() -> tuple[int, list[str], list[str]]:
    """Audit the packages in js/package-lock.json, with which the browser client is built and tested."""
    audit = ["npm", "audit", "--json", "--package-lock-only", "--fetch-retries=0", "--fetch-timeout=10000"]
    answer = answer_of(audit, "js")
    if "vulnerabilities" not in answer:
        raise Unanswered(answer.get("message") or "npm printed no report")
    found = [
        f"{name} {entry['range']}: {entry['severity']}, "
        + ("npm audit fix mends it" if entry["fixAvailable"] else "no fix yet")
        for name, entry in answer["vulnerabilities"].items()
    ]
    return answer["metadata"]["dependencies"]["total"], [], found


AUDITS: dict[str, Callable[[], tuple[int, list[str], list[str]]]] = {"pip": pip, "npm": npm}


def main(name: str) -> int:
    """Print what one audit found. Return the exit status."""
    try:
        audited, left_out, found = AUDITS[name]()
    except Unanswered as reason:
        print(f"{name} audit: nothing was audited, because the vulnerability database did not answer: {reason}")
        return 0
    for line in found:
        print(f"{name} audit: {line}")
    if found:
        print(f"{name} audit: upgrade these packages")
        return 1
    doubt = f"; not in the database: {', '.join(left_out)}" if left_out else ""
    print(f"{name} audit: {audited} packages without a known vulnerability{doubt}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
