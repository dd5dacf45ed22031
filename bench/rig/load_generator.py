"""The load generator (wsload.c): how it is compiled, called and read."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench.rig.folders import BENCH, BUILD

_SOURCE = "rig/wsload.c"
_PLAIN = BUILD / "wsload"
_WITH_TLS = BUILD / "wsload-tls"


def run_tool(command: list[str]) -> str:
    """Run a program that makes a file. Returns what it complained of, or an empty string."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - commands are ours
    except OSError as error:
        return str(error)
    return (done.stderr.strip() or f"ended with {done.returncode}") if done.returncode else ""


def compile_c(target: Path, source: str, *options: str) -> str:
    """Compile a C file of bench/ if it is newer than the program. Returns the complaint, or an empty string."""
    file = BENCH / source
    BUILD.mkdir(exist_ok=True)
    if target.exists() and target.stat().st_mtime >= file.stat().st_mtime:
        return ""
    # Another process may run the program, or compile it too. It never sees half a program.
    made = target.with_name(f"{target.name}.{os.getpid()}")
    wrong = run_tool(["gcc", "-O2", "-Wall", "-Wno-unused-parameter", "-o", str(made), str(file), *options])
    if not wrong:
        made.replace(target)
    return wrong


def build() -> None:
    """Compile the generator. Raises SystemExit with what is missing."""
    wrong = compile_c(_PLAIN, _SOURCE, "-lm")
    if wrong:
        raise SystemExit(f"the generator cannot be built, bench/setup tools installs gcc: {wrong.splitlines()[0]}")


def build_with_tls() -> bool:
    """Compile the generator with TLS. Returns False if OpenSSL's headers are missing."""
    return not compile_c(_WITH_TLS, _SOURCE, "-DTLS", "-lm", "-lssl", "-lcrypto")


def program_for(arguments: list[str]) -> str:
    """The path of the program that understands these arguments."""
    return str(_WITH_TLS if "--tls" in arguments else _PLAIN)


def read_answer(output: str, errors: str, code: int) -> tuple[dict[str, Any], str]:
    """Return the generator's JSON and its last words. It ends with 1 if something was lost, and still answers."""
    said = " | ".join(errors.strip().splitlines()[-3:])
    return (json.loads(output), said) if output else ({}, said or f"ended with {code}")
