"""Every script for a shell, as shellcheck reads it."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "bench", "deploy", "docs/samples", "scripts")


def scripts():
    files = [file for folder in FOLDERS for file in (ROOT / folder).glob("*") if file.is_file()]
    return [file for file in files if re.match(rb"#!.*\b(ba)?sh\b", file.read_bytes())]


def test_shellcheck_finds_nothing_in_any_script():
    found = scripts()
    assert {file.name for file in found} >= {"need", "push.sh", "push-hmac.sh", "run-suite", "setup", "token.sh"}
    checked = subprocess.run(
        ["shellcheck", "--severity=style", *found], capture_output=True, text=True, check=False, timeout=120
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
