"""The blocks of code in the documents have a language and are code of it.

test_calls_of_blocks.py checks the calls of Python and of the command. `npm run docs` in js/ checks those of browsers and Node.
"""

import json
import os
import shutil
import subprocess
import tomllib

import attrs
import psycopg
import pytest
import yaml

from bench.rig.ports import free_ports
from bench.rig.postgres import running_postgres
from cometify.config.settings import Settings, SettingsError
from cometify.config.settings_file import load
from tests.certificates import make_key_pair
from tests.site.blocks import BLOCKS, blocks_of

SERVER = set(attrs.fields_dict(Settings))
_ACCOUNT = '[[account]]\napi_key = "37282591"\napi_secret = "a secret of this test"\n'


def run(command, code, suffix, folder):
    """The complaint of a program about a file with this code. Empty if there is none."""
    file = folder / f"code{suffix}"
    file.write_text(code, "utf-8")
    done = subprocess.run([*command, file], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr if done.returncode else ""


def faults_of_settings(code, folder):
    """Read a piece of a configuration file with the server's own reader. An account is added where the piece has none."""
    (folder / "settings").mkdir(exist_ok=True)
    file = folder / "settings" / "cometify.toml"
    code = code.replace('"…"', '"a secret of this test"')
    names = tomllib.loads(code).keys()
    whole = code if "account" in names else f"{code}\n{_ACCOUNT}"
    if "account" not in names and not names <= SERVER:
        whole = f"{_ACCOUNT}{code}"
    file.write_text(whole, "utf-8")
    try:
        load(str(file), {})
    except SettingsError as error:
        return str(error)
    return ""


def faults_of_python(code, _folder):
    try:
        compile(code, "block", "exec")
    except SyntaxError as error:
        return str(error)
    return ""


def faults_of_php(code, folder):
    """Statements, or the elements of an array of settings."""
    faults = run(["php", "-l"], f"<?php\n{code}", ".php", folder)
    return faults and run(["php", "-l"], f"<?php\nreturn [\n{code}\n];", ".php", folder) and faults


def faults_of_json(code, _folder):
    """One value, or one on each line."""
    try:
        json.loads(code)
    except ValueError:
        try:
            [json.loads(line) for line in code.splitlines()]
        except ValueError as error:
            return str(error)
    return ""


def faults_of_yaml(code, _folder):
    try:
        yaml.safe_load(code)
    except yaml.YAMLError as error:
        return str(error)
    return ""


CHECKS = {
    "json": faults_of_json,
    "php": faults_of_php,
    "python": faults_of_python,
    "ruby": lambda code, folder: run(["ruby", "-c"], code, ".rb", folder),
    "sh": lambda code, folder: run(["sh", "-n"], code, ".sh", folder),
    "toml": faults_of_settings,
    "yaml": faults_of_yaml,
}
OF_BROWSERS = {"js", "jsx", "ts", "vue", "html"}
OTHERS = {"text", "nginx", "sql"}
"""The tests below run nginx and PostgreSQL with their blocks."""


def test_every_block_has_a_language_that_is_known():
    assert len(BLOCKS) > 50
    assert [block for block in BLOCKS if block.language not in {*CHECKS, *OF_BROWSERS, *OTHERS}] == []


@pytest.mark.parametrize("language", CHECKS)
def test_blocks_are_code_of_their_language(language, tmp_path):
    blocks = [block for block in BLOCKS if block.language == language]
    assert blocks
    found = [(block.where, faults) for block in blocks if (faults := CHECKS[language](block.code, tmp_path))]
    assert found == []


WRONG = {
    "json": '{"a": }',
    "php": "$a = ;",
    "python": "a = ",
    "ruby": "def a(",
    "sh": 'echo "a',
    "toml": "hartbeat = 1",
    "yaml": "a: [",
}


@pytest.mark.parametrize("language", CHECKS)
def test_wrong_code_is_found(language, tmp_path):
    (block,) = blocks_of(f"  ```{language}\n  {WRONG[language]}\n  ```\n", "page")
    assert CHECKS[language](block.code, tmp_path)


def test_configuration_of_nginx_is_accepted(tmp_path):
    (block,) = [block for block in BLOCKS if block.language == "nginx"]
    make_key_pair(tmp_path / "privkey.pem", tmp_path / "fullchain.pem")
    (port,) = free_ports(1)
    server = block.code.replace("/etc/letsencrypt/live/push.example.org", str(tmp_path)).replace("443", str(port))
    code = f"error_log stderr;\npid {tmp_path}/pid;\nevents {{}}\nhttp {{\n{server}\n}}\n"
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert nginx
    assert run([nginx, "-t", "-p", tmp_path, "-c"], code, ".conf", tmp_path) == ""


def test_statements_of_sql_run_in_their_order():
    # test_outbox_page.py runs those of docs/outbox.md, because they are of several databases.
    blocks = [block for block in BLOCKS if block.language == "sql" and not block.where.startswith("docs/outbox.md")]
    statements = [block.code for block in blocks]
    assert len(statements) >= 5
    with running_postgres() as folder, psycopg.connect(host=str(folder), user="postgres", autocommit=True) as db:
        for statement in statements:
            db.execute(statement)
        assert db.execute("SELECT count(*), max(version) FROM entries").fetchone() == (1, 4)
