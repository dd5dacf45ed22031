"""scripts/need, with an apt-get that only notes how it is called."""

import os
import subprocess
from pathlib import Path

import pytest

NEED = Path(__file__).parents[2] / "scripts" / "need"
APT_GET = """\
#!/bin/sh
echo "$@" >>calls
sleep 0.1
for word in "$@"; do
    case $word in
        nowhere) echo "E: Unable to locate package nowhere" && exit 100 ;;
        package-*) printf '#!/bin/sh\\n' >"bin/${word#package-}" && chmod 755 "bin/${word#package-}" ;;
    esac
done
"""


class Machine:
    def __init__(self, folder: Path, user: int) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        for name, script in {"apt-get": APT_GET, "id": f"#!/bin/sh\necho {user}\n"}.items():
            (folder / "bin" / name).write_text(script)
            (folder / "bin" / name).chmod(0o755)

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.Popen(
            [NEED, *arguments], cwd=self.folder, env={**os.environ, "PATH": path}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def need(self, *arguments: str) -> tuple[int, str]:
        """Returns the exit status, and what was written as errors."""
        process = self.begin(*arguments)
        _out, errors = process.communicate(timeout=60)
        return process.returncode, errors

    def installs(self) -> list[list[str]]:
        """The packages of each call that installs."""
        calls = self.folder / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [line.split()[6:] for line in lines if " install " in line]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path, user=0)


def test_existing_commands_need_no_apt_get(machine):
    assert machine.need("sh", "package-sh", "--", "ls", "package-ls") == (0, "")
    assert not (machine.folder / "calls").exists()


def test_packages_of_all_missing_commands_come_in_one_call(machine):
    wanted = ("one-1", "package-one-1", "more", "--", "ls", "package-ls", "--", "two-2", "package-two-2")
    assert machine.need(*wanted) == (0, "")
    assert machine.installs() == [["package-one-1", "more", "package-two-2"]]
    assert (machine.folder / "calls").read_text().count(" update ") == 1


def test_package_that_cannot_be_had_keeps_no_other_away(machine):
    wanted = ("one-1", "package-one-1", "--", "lost-1", "nowhere", "--", "two-2", "package-two-2")
    status, errors = machine.need(*wanted)
    assert status == 1
    assert errors.splitlines()[-1] == "lost-1 is missing: install it, on Debian with: apt-get install nowhere"
    assert "Unable to locate package nowhere" in errors
    assert machine.need(*wanted[:3], *wanted[6:]) == (0, "")


def test_two_at_once_install_once(machine):
    both = [machine.begin("one-1", "package-one-1") for _ in range(2)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in both] == [("", 0)] * 2
    assert machine.installs() == [["package-one-1"]]


def test_without_root_each_missing_command_is_named(tmp_path):
    machine = Machine(tmp_path, user=1000)
    status, errors = machine.need("one-1", "package-one-1", "--", "ls", "x", "--", "php:none", "php-none", "more")
    assert (status, errors.splitlines()) == (
        1,
        [
            "one-1 is missing: install it, on Debian with: apt-get install package-one-1",
            "php:none is missing: install it, on Debian with: apt-get install php-none more",
        ],
    )
    assert machine.installs() == []
