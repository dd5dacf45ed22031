"""The audit of packages: a vulnerability is a failure, and a database that does not answer is one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAFE = {"name": "attrs", "version": "26.1.0", "vulns": []}
VULNERABLE = {"name": "bad", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
UNFIXED = {"name": "worse", "version": "2.0", "vulns": [{"id": "PYSEC-2", "fix_versions": []}]}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI"}


def pip_answer(*dependencies):
    return json.dumps({"dependencies": dependencies, "fixes": []})


def npm_answer(**vulnerabilities):
    return json.dumps({"vulnerabilities": vulnerabilities, "metadata": {"dependencies": {"total": 150}}})


@pytest.fixture
def audit(tmp_path):
    """Run the audit with an auditor that says and does what it is told, in a repository without packages of its own."""

    def run(name, said="", status=0, complaint=""):
        (tmp_path / "js").mkdir(exist_ok=True)
        told = tmp_path / "told"
        body = (
            "import pathlib, sys\n"
            f"told = pathlib.Path({str(told)!r})\n"
            "told.write_text(' '.join(sys.argv[1:]) + '\\n' + (open(sys.argv[-1]).read() if 'txt' in sys.argv[-1] else ''))\n"
            f"print({said!r})\nprint({complaint!r}, file=sys.stderr)\nsys.exit({status})\n"
        )
        (tmp_path / "pip_audit.py").write_text(body)
        fake = tmp_path / "npm"
        fake.write_text(f"#!{sys.executable}\n{body}")
        fake.chmod(0o755)
        done = subprocess.run(
            [sys.executable, ROOT / "scripts/audit.py", name],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, (done.stdout + done.stderr).splitlines(), told.read_text()

    return run


def test_packages_without_a_vulnerability_are_counted(audit):
    status, lines, told = audit("pip", pip_answer(SAFE, SAFE))
    assert (status, lines) == (0, ["pip audit: 2 packages without a known vulnerability"])
    names = {line.partition("==")[0].lower() for line in told.splitlines()[1:]}
    assert {"twisted", "attrs", "pytest"} <= names
    assert not names & {"cometify", "pip", "setuptools"}
    assert audit("npm", npm_answer())[:2] == (0, ["npm audit: 150 packages without a known vulnerability"])


def test_vulnerability_fails_and_is_told_with_its_fix(audit):
    status, lines, _told = audit("pip", pip_answer(SAFE, VULNERABLE, UNKNOWN, UNFIXED), status=1)
    assert status == 1
    assert lines == [
        "pip audit: bad 1.0: PYSEC-1, fixed in 1.1",
        "pip audit: worse 2.0: PYSEC-2, fixed in no version yet",
        "pip audit: upgrade these packages",
    ]
    entry = {"range": "<2", "severity": "high"}
    said = npm_answer(ws=entry | {"fixAvailable": True}, acorn=entry | {"fixAvailable": False})
    status, lines, _told = audit("npm", said, status=1)
    assert status == 1
    assert lines[:2] == ["npm audit: ws <2: high, npm audit fix mends it", "npm audit: acorn <2: high, no fix yet"]


@pytest.mark.parametrize(
    ("name", "said", "complaint", "reason"),
    [
        ("pip", "", "Traceback\nConnectionError: no route", "ConnectionError: no route"),
        ("pip", "", "", "it printed nothing"),
        ("pip", pip_answer(UNKNOWN, UNKNOWN), "", "Dependency not found on PyPI"),
        ("npm", json.dumps({"message": "405 Method Not Allowed", "error": {}}), "", "405 Method Not Allowed"),
    ],
)
def test_database_that_does_not_answer_is_one_line(audit, name, said, complaint, reason):
    status, lines, _told = audit(name, said, status=1, complaint=complaint)
    assert status == 0
    why = "nothing was audited, because the vulnerability database did not answer"
    assert lines == [f"{name} audit: {why}: {reason}"]


def test_packages_that_the_database_lacks_are_named(audit):
    status, lines, _told = audit("pip", pip_answer(SAFE, UNKNOWN))
    assert (status, lines) == (0, ["pip audit: 1 packages without a known vulnerability; not in the database: ours"])


def test_auditor_that_is_called_wrongly_is_a_failure(audit):
    status, lines, _told = audit("pip", status=2, complaint="error: unrecognized arguments")
    assert status == 1
    assert "error: unrecognized arguments" in lines
