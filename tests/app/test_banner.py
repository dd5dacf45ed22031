"""The last lines of a start."""

import io
import sys

import pytest
from twisted.logger import capturedLogs, formatEvent

from cometify.app.banner import IDENTIFIER, TEXT, greet
from cometify.config.settings import Settings
from cometify.core.account import Account
from cometify.core.md5_signature import secure

ACCOUNT = Account("37282591", ("s3cr3t-of-the-account",))


@pytest.fixture
def say(monkeypatch):
    """Greet. Returns the lines of the log and the text on the terminal."""

    def say(settings):
        terminal = io.StringIO()
        monkeypatch.setattr(sys, "__stdout__", terminal)
        with capturedLogs() as events:
            greet(settings)
        for event in events:
            assert ACCOUNT.api_secrets[0] not in repr(event)
        return [formatEvent(event) for event in events], terminal.getvalue()

    return say


def test_with_an_account_of_ones_own_only_the_page_is_named(say, capsys):
    lines, terminal = say(Settings((ACCOUNT,), http=("tcp:9000",)))
    assert lines == ["Cometify is up, the getting-started page is http://localhost:9000/"]
    assert terminal == ""
    assert capsys.readouterr().out == ""


def test_made_up_secret_is_shown_on_the_terminal_alone(say, capsys):
    lines, terminal = say(Settings((ACCOUNT,), made_up=True))
    assert ACCOUNT.api_key in terminal
    assert f"export COMETIFY_URL=http://{ACCOUNT.api_key}:{ACCOUNT.api_secrets[0]}@localhost:8081\n" in terminal
    assert not any(ACCOUNT.api_secrets[0] in line for line in lines)
    assert capsys.readouterr().out == "", "twistd makes a log of it"


def test_made_up_account_gets_lines_ready_to_paste(say):
    (page, listen, push, console), _ = say(Settings((ACCOUNT,), http=("tcp:9000",), made_up=True))
    assert page.endswith(" http://localhost:9000/#key=37282591")
    assert listen.endswith(f" curl -N 'http://localhost:9000/37282591/events?identifiers={IDENTIFIER}'")
    assert f"-d 'text={TEXT}'" in push
    assert f"-d secure={secure('37282591', ACCOUNT.api_secrets[0], IDENTIFIER, TEXT)}" in push
    assert push.endswith(f" http://localhost:9000/37282591/push/{IDENTIFIER}")
    assert "http://localhost:8082/" in console
    lines, _ = say(Settings((ACCOUNT,), admin="unix:/run/admin", made_up=True))
    assert len(lines) == 3


def test_banner_names_the_first_endpoint_with_a_url(say):
    lines, _ = say(Settings((ACCOUNT,), http=("unix:/run/cometify.sock", "ssl:443", "tcp:9000")))
    assert lines[0].endswith(" https://localhost:443/")


def test_banner_names_endpoints_without_a_url(say):
    http = ("unix:/run/cometify.sock", "haproxy:tcp:8081")
    lines, _ = say(Settings((ACCOUNT,), http=http))
    assert lines == ["Cometify is up on unix:/run/cometify.sock, haproxy:tcp:8081"]
    lines, _ = say(Settings((ACCOUNT,), http=http, made_up=True))
    assert lines[0].endswith(" http://localhost:8081/#key=37282591")
