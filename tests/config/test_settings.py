"""Settings from a file and the command line. Every error is one line that names the file, the key and the reason."""

import json
import os
import sys
from ipaddress import ip_network

import pytest

from cometify import __version__
from cometify.app.options import Options
from cometify.config.checks import doubts
from cometify.config.redis_url import RedisURL, read_redis_url
from cometify.config.settings import Settings, SettingsError
from cometify.config.settings_file import as_table, load, need_a_restart, read_table
from cometify.core.account import Account

ACCOUNT = '[[account]]\napi_key = "37282591"\napi_secret = "s3cr3t"\n'
REDIS = 'redis = "redis://127.0.0.1"\n'
OTHER = '[[account]]\napi_key = "other"\napi_secret = "s3cr3t"\n'


@pytest.fixture
def read(tmp_path):
    path = tmp_path / "some.toml"

    def read(text, **overrides):
        path.write_text(text)
        return load(str(path), overrides)

    return read


@pytest.fixture
def refuse(read, tmp_path):
    def refuse(text, **overrides):
        with pytest.raises(SettingsError) as error:
            read(text, **overrides)
        message = str(error.value)
        file, _, reason = message.partition(": ")
        assert file == str(tmp_path / "some.toml")
        assert "\n" not in message
        assert message.endswith(".")
        assert "s3cr3t" not in message
        assert error.value.__suppress_context__
        return reason

    return refuse


def test_account_alone_gets_defaults_for_the_rest(read):
    settings = read(ACCOUNT)
    assert settings == Settings((Account("37282591", ("s3cr3t",)),))
    assert (settings.http, settings.websocket) == (("tcp:8081",), ("tcp:2323",))
    assert settings.admin == "tcp:8082:interface=127.0.0.1"
    assert (settings.trusted_proxies, settings.heartbeat, settings.drain, settings.made_up) == ((), 25, 10, False)
    (account,) = settings.accounts
    assert (account.listeners_per_ip, account.buffer_pushes, account.origins) == (30, 1000, None)


def test_every_setting_can_be_set(read):
    settings = read(
        'http = ["tcp:80", "unix:/run/cometify"]\nwebsocket = []\nadmin = "tcp:9"\nheartbeat = 300\ndrain = 0\n'
        'trusted_proxies = ["10.0.0.1", "10.1.2.3/16", "::1"]\nadmin_hosts = ["node1.example.org"]\n'
        '[[account]]\napi_key = "a-B_9"\napi_secrets = ["old", "new"]\nlisteners_per_ip = 1\nbuffer_pushes = 1\n'
        'buffer_bytes = 524288\nkeep_bytes = 524288\nsignature_memory = 0\nrequest_memory = 100\nsignatures = "v2"\n'
        'pushes_per_second = 7\npush_burst = 9\nlisteners = 11\nprivate = ["User-*", "orders"]\nidentifiers = "extended"\n'
        'origins = ["https://www.example.org", "http://localhost:8000", "null"]\n' + ACCOUNT
    )
    assert settings.http == ("tcp:80", "unix:/run/cometify")
    assert (settings.websocket, settings.admin, settings.heartbeat, settings.drain) == ((), "tcp:9", 300, 0)
    assert settings.admin_hosts == ("node1.example.org",)
    assert settings.trusted_proxies == tuple(map(ip_network, ["10.0.0.1/32", "10.1.0.0/16", "::1/128"]))
    origins = ("https://www.example.org", "http://localhost:8000", "null")
    assert settings.accounts == (
        Account(
            "a-B_9",
            ("old", "new"),
            1,
            1,
            524288,
            524288,
            0,
            100,
            origins,
            "v2",
            7,
            9,
            11,
            ("user-*", "orders"),
            "extended",
        ),
        Account("37282591", ("s3cr3t",)),
    )


def test_option_overrides_the_file(read):
    text = 'http = ["tcp:1"]\nwebsocket = ["tcp:2"]\nadmin = "tcp:3"\n' + ACCOUNT
    settings = read(text, http=("tcp:4",), websocket=(), admin=None, redis=None)
    assert (settings.http, settings.websocket, settings.admin) == (("tcp:4",), ("tcp:2",), "tcp:3")
    assert read(text, admin="tcp:5").admin == "tcp:5"


def test_repr_of_settings_shows_no_secret(read):
    assert "s3cr3t" not in repr(read(ACCOUNT))


def test_each_start_without_a_file_makes_up_a_new_account(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = (load(None, {"admin": "tcp:5"}) for _ in range(2))
    assert first.made_up
    assert first.admin == "tcp:5"
    (account,) = first.accounts
    assert account.api_key.isdigit()
    assert len(account.api_key) == 8
    assert len(account.api_secrets[0]) >= 32
    assert account != second.accounts[0]


def test_cometify_toml_is_read_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cometify.toml").write_text(ACCOUNT)
    settings = load(None, {})
    assert not settings.made_up
    assert settings.accounts[0].api_key == "37282591"


def test_named_file_must_exist(tmp_path):
    with pytest.raises(SettingsError) as error:
        load(str(tmp_path / "none.toml"), {})
    assert str(error.value) == f"{tmp_path}/none.toml: cannot be read (No such file or directory)."


@pytest.mark.timeout(30)
def test_pipe_is_not_waited_for_while_the_server_serves(tmp_path):
    pipe = tmp_path / "cometify.toml"
    os.mkfifo(pipe)
    with pytest.raises(SettingsError, match=r"cometify\.toml: is a pipe, .* write the settings into a file\."):
        load(str(pipe), {}, again=True)


def test_folder_is_refused_as_a_file(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot be read \(Is a directory\)\.$"):
        load(str(tmp_path), {})


def test_invalid_toml_is_refused_with_its_line(refuse):
    reason = refuse(ACCOUNT + "heartbeat 25\n")
    assert reason.startswith("is not valid TOML (")
    assert "line 4" in reason


@pytest.mark.parametrize("value", ["[" * 5000, "1" * 5000])
def test_value_that_is_too_deep_or_too_long_is_refused(refuse, value):
    assert refuse(f"heartbeat = {value}\n" + ACCOUNT).startswith("is not valid TOML (")


def test_invalid_utf_8_is_refused(tmp_path):
    path = tmp_path / "some.toml"
    path.write_bytes(b'admin = "\xff"\n')
    with pytest.raises(SettingsError, match="is not valid TOML") as error:
        load(str(path), {})
    assert "\n" not in str(error.value)


def test_byte_order_mark_is_accepted(tmp_path):
    path = tmp_path / "some.toml"
    path.write_bytes(b"\xef\xbb\xbf" + ACCOUNT.encode())
    assert load(str(path), {}).accounts[0].api_key == "37282591"


def test_misplaced_key_is_told_its_place(refuse):
    assert refuse(ACCOUNT + "heartbeat = 5\n") == (
        "account 1: heartbeat is a server setting; move it above the first [[account]]."
    )
    assert refuse("api_key = 5\n" + ACCOUNT) == "api_key is a setting of an account; move it below a line [[account]]."
    assert refuse("[[accounts]]\n").endswith("(the table of an account is called [[account]]).")


def test_redis_wait_needs_redis(refuse):
    assert refuse("redis_wait = 1\n" + ACCOUNT).startswith("redis_wait: there is no Redis to wait for")


@pytest.mark.parametrize("secret", ["…", "YOUR_API_SECRET"])
def test_placeholder_is_refused_as_a_secret(refuse, secret):
    for line in (f'api_secret = "{secret}"', f'api_secrets = ["long enough for it", "{secret}"]'):
        said = refuse(f'[[account]]\napi_key = "a"\n{line}\n')
        assert f'"{secret}" is a placeholder: make one with: openssl rand' in said


def test_secret_that_no_request_could_send_is_refused(refuse, monkeypatch):
    monkeypatch.setenv("THEIR_SECRET", os.fsdecode(b"not \xff UTF-8 at all"))
    said = refuse('[[account]]\napi_key = "a"\napi_secret_env = "THEIR_SECRET"\n')
    assert said == "account 1: api_secret_env: must be text that UTF-8 can encode."


def test_short_secret_is_warned_about_and_not_shown(read):
    text = '[[account]]\napi_key = "long"\napi_secret = "0123456789ab"\n[[account]]\napi_key = "short"\n'
    settings = read(text + 'api_secrets = ["0123456789abcdef", "0123456789x"]\n')
    (doubt,) = doubts(settings)
    assert doubt.startswith("account short: its API secret has fewer than 12 characters")
    assert "0123456789x" not in doubt


def test_all_keys_but_accounts_need_a_restart(read):
    before = read(REDIS + ACCOUNT)
    assert need_a_restart(before, read(REDIS + ACCOUNT + 'origins = ["http://a"]\n')) == []
    now = read('redis = "redis://:password@127.0.0.1"\ndrain = 1\n' + ACCOUNT)
    assert need_a_restart(before, now) == ["redis", "drain"]


def options_of(*words):
    options = Options()
    options.parseOptions(words)
    return options


def test_check_reads_the_configuration_without_a_start(tmp_path, capsys):
    path = tmp_path / "some.toml"
    path.write_text(ACCOUNT)
    with pytest.raises(SystemExit) as ended:
        options_of("--check", "--config", str(path))
    assert ended.value.code == 0
    doubt, said = capsys.readouterr().out.splitlines()
    assert "fewer than 12 characters" in doubt
    assert said == "cometify: the configuration can be used; accounts: 1"
    for wrong in (
        "heartbeat = 0\n",
        'admin = "ssl:1:privateKey=none.pem"\n',
        'admin = "tcp:99999"\n',
        'redis = "rediss://localhost?ca=/none.pem"\n',
        'redis = "rediss://localhost?ca=/dev/zero"\n',
        'accounts = "sqlite:///none/accounts.db"\n',
    ):
        path.write_text(wrong + ACCOUNT)
        with pytest.raises(SystemExit, match=r"^cometify: .*(heartbeat|admin|redis|accounts): "):
            options_of("--check", "--config", str(path))
    path.write_text('http = ["systemd:domain=INET:index=0"]\n' + ACCOUNT)  # which is not there now
    with pytest.raises(SystemExit) as ended:
        options_of("--check", "--config", str(path))
    assert ended.value.code == 0


def test_version_option_names_cometify(capsys):
    with pytest.raises(SystemExit) as ended:
        options_of("--version")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"Cometify {__version__}, Twisted ")


def test_redis_that_is_not_a_url_is_refused(refuse):
    assert refuse('redis = "localhost"\n' + ACCOUNT).startswith("redis: must be a URL")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("workers = 0", "workers: must be a whole number from 1 to 1000."),
        ('workers = "4"', "workers: must be a whole number from 1 to 1000."),
        ("workers = 2", "workers: 2 workers without Redis would each keep pushes of their own; set "),
        (
            REDIS + 'workers = 2\nhttp = ["tcp:80", "unix:/run/cometify"]',
            'http: several workers cannot share "unix:/run/cometify"',
        ),
        (
            REDIS + 'workers = 2\nwebsocket = ["systemd:domain=INET:index=0"]',
            'websocket: several workers cannot share "systemd:domain=INET:index=0"',
        ),
    ],
)
def test_several_workers_need_redis_and_shareable_ports(refuse, lines, reason):
    assert refuse(f"{lines}\n{ACCOUNT}").startswith(reason)


def test_workers_share_tcp_tls_and_the_proxy_protocol(read):
    endpoints = '["tcp:80", "tcp6:80", "ssl:443:privateKey=k:certKey=c", "haproxy:tcp:81", "haproxy:ssl:82"]'
    settings = read(f'{REDIS}workers = 2\nhttp = {endpoints}\nadmin = "unix:/run/admin"\n{ACCOUNT}')
    assert (settings.workers, len(settings.http)) == (2, 5)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--redis", ""), "--redis: must be a URL"),
        (("--redis", "localhost"), "--redis: must be a URL"),
        (("--admin", ""), "--admin: must be a string that is not empty."),
        (("--http", ""), "--http: must be a string that is not empty."),
        (("--http", "tcp:80", "--http", ""), "--http: must be a string that is not empty."),
        (("--websocket", ""), "--websocket: must be a string that is not empty."),
        (("--config", ""), "--config: must name a file."),
        (("--workers", ""), "--workers: must be a whole number from 1 to 1000."),
        (("--workers", "0"), "--workers: must be a whole number from 1 to 1000."),
        (("--workers", "-1"), "--workers: must be a whole number from 1 to 1000."),
        (("--workers", "two"), "--workers: must be a whole number from 1 to 1000."),
        (("--workers", "²"), "--workers: must be a whole number from 1 to 1000."),
    ],
)
@pytest.mark.parametrize("file", ["", ACCOUNT], ids=["no file", "file"])
def test_wrong_option_is_refused_by_its_name(words, reason, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if file:
        (tmp_path / "cometify.toml").write_text(file)
    with pytest.raises(SystemExit) as ended:
        options_of(*words)
    assert str(ended.value).startswith(f"cometify: {reason}")


def test_option_rescues_a_wrong_value_of_the_file(read):
    assert read("heartbeat = 5\nhttp = []\n" + ACCOUNT, http=("tcp:4",)).http == ("tcp:4",)


def test_option_for_workers_is_read_as_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cometify.toml").write_text(REDIS + ACCOUNT)
    assert options_of("--workers", "12").settings.workers == 12


def test_table_of_settings_reads_back_as_the_same(read):
    for settings in (
        read(ACCOUNT),
        read("joins_per_second = 7\nkeep_bytes_total = 524288\n" + ACCOUNT),
        read('traces = "https://collector:4318/otel"\ntraces_ratio = 1\n' + ACCOUNT),
        read(
            'redis = "rediss://user:p%40ss@10.0.0.5/2?ca=ca.pem"\nredis_wait = 1\nhttp = ["tcp:80"]\nwebsocket = []\n'
            'admin = "tcp:9"\nheartbeat = 300\ndrain = 0\nworkers = 3\npages = false\n'
            'connections_per_ip = 0\ntrusted_proxies = ["10.0.0.1", "10.1.2.3/16"]\n'
            'admin_hosts = ["node1.example.org"]\nwebhook_networks = ["10.0.0.0/8"]\n'
            '[[account]]\napi_key = "a-B_9"\napi_secrets = ["old", "new"]\nlisteners_per_ip = 1\nbuffer_pushes = 1\n'
            'keep_bytes = 524288\npushes_per_second = 7\nlisteners = 11\nsignature_memory = 0\nrequest_memory = 101\norigins = ["https://www.example.org"]\n'
            'private = ["orders", "user-*"]\nidentifiers = "extended"\nsuspended = true\nwebhook = "http://10.0.0.1/"\n'
            + ACCOUNT
        ),
        read(f"[defaults]\npushes_per_second = 9\nlisteners = 100\n{ACCOUNT}push_burst = 8\n"),
        read('accounts = "sqlite:///run/accounts.db"\n[defaults]\nlisteners = 7\n'),
        read(REDIS + 'accounts = "redis"\n' + ACCOUNT),
        read('redis = ["redis://:p%40ss@a", "redis://b?name=b"]\n' + ACCOUNT),
    ):
        assert read_table(json.loads(json.dumps(as_table(settings)))) == settings


def test_traces_need_the_packages_of_opentelemetry(read, monkeypatch):
    assert read('traces = "http://127.0.0.1:4318"\n' + ACCOUNT).traces_ratio == 0.01
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(SettingsError, match=r"pip install 'cometify\[otel\]'"):
        read('traces = "http://127.0.0.1:4318"\n' + ACCOUNT)


def test_redis_is_read_as_a_url(read):
    assert read('redis = "redis://127.0.0.1/2"\n' + ACCOUNT).redis == RedisURL((("127.0.0.1", 6379),), database=2)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("joins_per_second = 0", "joins_per_second: must be a whole number from 1 to 1000000."),
        ("traces = 4318", "traces: must be the URL of a collector"),
        ('traces = "collector:4318"', "traces: must be the URL of a collector"),
        ('traces = "http://collector?x=1"', "traces: must be the URL of a collector"),
        ("traces_ratio = 1.5", "traces_ratio: must be a number from 0 to 1."),
        ("traces_ratio = true", "traces_ratio: must be a number from 0 to 1."),
        ("keep_bytes_total = 524287", "keep_bytes_total: must be a whole number of at least 524288."),
        (
            'keep_bytes_total = 524288\nredis = "redis://127.0.0.1"',
            "keep_bytes_total: bounds what is kept in this process",
        ),
        ("hartbeat = 25", "hartbeat: there is no such key; the keys are http, websocket, admin, "),
        ("http = []", "http: must be an array of 1 to 1000 strings."),
        ("pages = 0", "pages: must be true or false."),
        ('http = "tcp:80"', "http: must be an array of 1 to 1000 strings."),
        ("http = [80]", "http: must be a string that is not empty."),
        ("websocket = 80", "websocket: must be an array of 0 to 1000 strings."),
        ('websocket = [""]', "websocket: must be a string that is not empty."),
        ('admin = ""', "admin: must be a string that is not empty."),
        ("admin = 8082", "admin: must be a string that is not empty."),
        ('admin_hosts = "node1"', "admin_hosts: must be an array of 0 to 1000 strings."),
        ('admin_hosts = ["node1:8082"]', 'admin_hosts: "node1:8082" is not a host name: write it without a port'),
        (
            'trusted_proxies = "10.0.0.1"',
            "trusted_proxies: must be an array of addresses or networks (must be an array",
        ),
        ('trusted_proxies = ["proxy"]', "trusted_proxies: must be an array of addresses or networks ('proxy' "),
        ("heartbeat = 0", "heartbeat: must be a whole number from 1 to 300."),
        ("heartbeat = 301", "heartbeat: must be a whole number from 1 to 300."),
        ("heartbeat = true", "heartbeat: must be a whole number from 1 to 300."),
        ("heartbeat = 2.5", "heartbeat: must be a whole number from 1 to 300."),
        ("connections_per_ip = -1", "connections_per_ip: must be a whole number of at least 0."),
        ("drain = -1", "drain: must be a whole number from 0 to 3600."),
        ("drain = 3601", "drain: must be a whole number from 0 to 3600."),
    ],
)
def test_wrong_value_is_refused_by_its_key(refuse, line, reason):
    assert refuse(f"{line}\n{ACCOUNT}").startswith(reason)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("listner = 5", "listner: there is no such key; the keys are api_key, api_secret, "),
        ('api_secrets = ["other"]', "api_secret: give api_secret, or api_secrets"),
        ("listeners = 0", "listeners: must be a whole number of at least 1."),
        ("listeners_per_ip = 0", "listeners_per_ip: must be a whole number of at least 1."),
        ('listeners_per_ip = "5"', "listeners_per_ip: must be a whole number of at least 1."),
        (f"listeners_per_ip = {2**62 + 1}", "listeners_per_ip: must be a whole number of at least 1."),
        ("pushes_per_second = 0", "pushes_per_second: must be a whole number from 1 to 1000000."),
        ("pushes_per_second = 9\npush_burst = 0", "push_burst: must be a whole number from 1 to 1000000."),
        ("edge = 1", "edge: must be true or false."),
        ('edge = true\norigins = ["https://a.example"]', "edge: a shared cache gives every page the same answer,"),
        ("push_burst = 9", "push_burst: bounds nothing without pushes_per_second; set both, or leave it out."),
        ("buffer_pushes = 0", "buffer_pushes: must be a whole number of at least 1."),
        ("buffer_bytes = 524287", "buffer_bytes: must be a whole number of at least 524288."),
        ("keep_bytes = 524287", "keep_bytes: must be a whole number of at least 524288."),
        ("request_memory = 99", "request_memory: must be a whole number of at least 100."),
        ("signature_memory = -1", "signature_memory: must be a whole number of at least 0."),
        ('signatures = "v1"', 'signatures: must be "any", "strong" to refuse the MD5 signature'),
        ("signatures = 2", 'signatures: must be "any", "strong" to refuse the MD5 signature'),
        ("origins = []", "origins: must be an array of 1 to 1000 strings."),
        ('origins = ["www.example.org"]', 'origins: "www.example.org" is not an origin'),
        ('origins = ["https://www.example.org/"]', 'origins: "https://www.example.org/" is not an origin'),
        ('origins = ["*"]', 'origins: "*" is not an origin'),
        ('private = "orders"', "private: must be an array of 0 to 100 strings."),
        (
            'private = ["user-*"]',
            'private: "user-*" is neither an identifier nor a prefix: write "orders" or "user_*", or set identifiers',
        ),
        ('private = ["*_7"]', 'private: "*_7" is neither an identifier nor a prefix'),
        ('private = ["_x"]\nidentifiers = "extended"', 'private: "_x" is neither an identifier nor a prefix'),
        ('identifiers = "long"', 'identifiers: must be "plain", or "extended" to allow'),
        ("identifiers = true", 'identifiers: must be "plain", or "extended" to allow'),
    ],
)
def test_wrong_account_value_is_refused_by_number_and_key(refuse, line, reason):
    other = '[[account]]\napi_key = "other"\napi_secret = "s3cr3t"\n'
    assert refuse(f"{other}{ACCOUNT}{line}\n").startswith(f"account 2: {reason}")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ('api_key = "a"', "api_secret: give api_secret, or api_secrets"),
        ('api_secret = "s3cr3t"', "api_key: is missing."),
        ('api_key = "a"\napi_secret = ""', "api_secret: must be a string that is not empty."),
        ('api_key = "a"\napi_secrets = []', "api_secrets: must be an array of 1 to 2 strings."),
        ('api_key = "a"\napi_secrets = ["s3cr3t", "b", "c"]', "api_secrets: must be an array of 1 to 2 strings."),
        ("api_key = 37282591", "api_key: must be a string of 1 to 64 of A-Z, "),
        ('api_key = ""', "api_key: must be a string of 1 to 64"),
        ('api_key = "a/b"', "api_key: must be a string of 1 to 64"),
        (f'api_key = "{"a" * 65}"', "api_key: must be a string of 1 to 64"),
        ('api_key = "latest"', 'api_key: "latest" is a path of the server itself;'),
        ('api_key = "page"', 'api_key: "page" is a path of the server itself;'),
        ('api_key = "docs"', 'api_key: "docs" is a path of the server itself;'),
    ],
)
def test_account_needs_a_key_and_a_secret(refuse, lines, reason):
    assert refuse(f"[[account]]\n{lines}\n").startswith(f"account 1: {reason}")


@pytest.mark.parametrize("text", ["", "account = []", "account = [1]", '[account]\napi_key = "a"', 'account = "a"'])
def test_file_without_an_account_is_refused(refuse, text):
    assert refuse(text) == "account: write at least one table [[account]] with api_key and api_secret."


def test_two_accounts_cannot_share_a_key(refuse):
    other = '[[account]]\napi_key = "other"\napi_secret = "s3cr3t"\n'
    assert refuse(ACCOUNT + other + ACCOUNT) == "api_key: 37282591 is the key of two accounts."


def test_defaults_hold_for_accounts_that_do_not_differ(read):
    settings = read(f"[defaults]\nlisteners = 100\nlisteners_per_ip = 5\n{ACCOUNT}{OTHER}listeners = 200\n")
    assert [(one.listeners, one.listeners_per_ip) for one in settings.accounts] == [(100, 5), (200, 5)]
    assert settings.defaults == {"listeners": 100, "listeners_per_ip": 5}


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("[defaults]\nlisteners = 0\n", "defaults: listeners: must be a whole number of at least 1."),
        ("[defaults]\nlisteneers = 5\n", "defaults: listeneers: there is no such key; the keys are "),
        ("[defaults]\nheartbeat = 5\n", "defaults: heartbeat is a server setting; move it above"),
        ('[defaults]\napi_secret = "s3cr3t"\n', "defaults: api_secret is a setting of one account; move it below"),
        ("[defaults]\nsuspended = true\n", "defaults: suspended is a setting of one account; move it below"),
        ("defaults = 5\n", "defaults: must be a table [defaults]"),
        ("[defaults]\npush_burst = 5\n", "account 1: push_burst: bounds nothing without pushes_per_second"),
    ],
)
def test_wrong_default_is_refused_by_its_key(refuse, lines, reason):
    assert refuse(lines + ACCOUNT).startswith(reason)


def test_secrets_are_read_from_files_and_the_environment(read, tmp_path, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("secret of a file\n")
    two.write_text("new\nold\n")
    monkeypatch.setenv("THEIR_SECRET", "secret of a variable")
    lines = [f'api_secret_file = "{one}"', f'api_secrets_file = "{two}"', 'api_secret_env = "THEIR_SECRET"']
    settings = read("".join(f'[[account]]\napi_key = "{line[:12]}{len(line)}"\n{line}\n' for line in lines))
    assert [account.api_secrets for account in settings.accounts] == [
        ("secret of a file",),
        ("new", "old"),
        ("secret of a variable",),
    ]
    one.write_text("redis://:s3cr3t@127.0.0.1/3")
    assert read(f'redis_file = "{one}"\n{ACCOUNT}').redis == read_redis_url("redis://:s3cr3t@127.0.0.1/3")
    monkeypatch.setenv("THEIR_REDIS", "redis://:s3cr3t@127.0.0.1/4")
    assert read(f'redis_env = "THEIR_REDIS"\n{ACCOUNT}').redis.database == 4
    assert read(f'redis_env = "NOT_SET"\n{ACCOUNT}', redis="redis://127.0.0.1/5").redis.database == 5
    two.write_text("redis://127.0.0.1/6")
    both = read(f'redis_file = ["{one}", "{two}"]\n{ACCOUNT}')
    assert [redis.database for redis in both.redis.all] == [3, 6]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (None, 'api_secret_file = "FILE"', "account 1: api_secret_file: FILE: cannot be read (No such file"),
        (b"\n", 'api_secret_file = "FILE"', "account 1: api_secret_file: FILE: must not be empty."),
        (b"s3cr3t\nb", 'api_secret_file = "FILE"', "account 1: api_secret_file: FILE: must have one line."),
        (b"s3cr3t\nb\nc", 'api_secrets_file = "FILE"', "account 1: api_secrets_file: FILE: must have one line or two."),
        (b"s3cr3t\xff", 'api_secret_file = "FILE"', "account 1: api_secret_file: FILE: must be UTF-8."),
        (
            b"s3cr3t\0b",
            'api_secret_file = "FILE"',
            "account 1: api_secret_file: must not have control characters, such as NUL",
        ),
        (b"s3cr3t\n\tb", 'api_secrets_file = "FILE"', "account 1: api_secrets_file: must not have control characters"),
        (b"s" * 8193, 'api_secret_file = "FILE"', "account 1: api_secret_file: FILE: must have at most 8192 bytes."),
        (b"", 'api_secret = "s3cr3t\\u0000b"', "account 1: api_secret: must not have control characters, such as NUL"),
        (b"", 'api_secret_env = "NOT_SET"', "account 1: api_secret_env: the environment variable NOT_SET must be set"),
        (b"x", 'api_secret = "s3cr3t"\napi_secret_file = "FILE"', "account 1: api_secret: give api_secret, or"),
    ],
)
def test_secret_that_cannot_be_read_is_told(refuse, tmp_path, content, line, reason):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    said = refuse('[[account]]\napi_key = "a"\n' + line.replace("FILE", str(file)))
    assert said.startswith(reason.replace("FILE", str(file)))


@pytest.mark.timeout(30)
def test_pipe_is_refused_as_a_secret(refuse, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "must be a regular file, and is a pipe" in refuse(f'redis_file = "{tmp_path}/pipe"\n{ACCOUNT}')


@pytest.mark.timeout(30)
def test_device_without_end_is_read_up_to_a_bound(refuse):
    for name in ("api_secret_file", "api_secrets_file"):
        said = refuse(f'[[account]]\napi_key = "a"\n{name} = "/dev/zero"\n')
        assert said == f"account 1: {name}: /dev/zero: must be a regular file, and is a device."
    said = refuse(f'admin_token_file = "/dev/zero"\n{ACCOUNT}')
    assert said == "admin_token_file: /dev/zero: must be a regular file, and is a device."
    with pytest.raises(SettingsError) as refused:
        load("/dev/zero", {})
    assert str(refused.value) == "/dev/zero: must have at most 67108864 bytes."


def test_redis_is_given_once(refuse, tmp_path):
    (tmp_path / "url").write_text("redis://127.0.0.1")
    said = refuse(f'{REDIS}redis_file = "{tmp_path}/url"\n{ACCOUNT}')
    assert said == "redis_file: gives Redis a second time, beside redis; leave one of them out."


def test_admin_token_must_be_long_enough(refuse, read, tmp_path):
    file = tmp_path / "token"
    file.write_text("s3cr3t")
    said = refuse(f'admin_token_file = "{file}"\n{ACCOUNT}')
    assert said.startswith(f"admin_token_file: {file}: must hold a token of at least 16 printable ASCII characters")
    file.write_text("0123456789abcdef\n")
    assert read(f'admin_token_file = "{file}"\n{ACCOUNT}').admin_token_file == str(file)


def test_place_of_the_accounts_is_read(read):
    assert str(read('accounts = "sqlite:///var/lib/a.db"\n').account_store) == "sqlite:///var/lib/a.db"
    assert read('accounts = "sqlite:///var/lib/a.db"\n').accounts == ()
    assert read(REDIS + 'accounts = "redis"\n').account_store.path is None


@pytest.mark.parametrize(
    "value", ["", "sqlite://a.db", "sqlite:a.db", "sqlite:///a/", "redis://127.0.0.1", "sqlite:///a?b"]
)
def test_place_that_is_none_is_refused(refuse, value):
    assert refuse(f'accounts = "{value}"\n{ACCOUNT}').startswith('accounts: must be "redis", or a file of SQLite')


def test_accounts_in_redis_need_redis(refuse):
    assert refuse(f'accounts = "redis"\n{ACCOUNT}').startswith(
        'accounts: "redis" is the Redis of the setting redis; set'
    )
