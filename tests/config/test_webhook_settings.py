import pytest

from cometify.config.settings import SettingsError
from cometify.config.settings_file import load

ACCOUNT = '[[account]]\napi_key = "37282591"\napi_secret = "dj28DNam!!nx72*"\n'


@pytest.fixture
def read(tmp_path):
    def read(lines, before=""):
        file = tmp_path / "cometify.toml"
        file.write_text(f"{before}\n{ACCOUNT}{lines}\n")
        return load(str(file), {})

    return read


@pytest.mark.parametrize(
    "url",
    [
        "https://www.example.org",
        "https://www.example.org:444/cometify?key=a&b=@",
        "https://[2606:4700::1111]/",
        "https://10.0.0.1/",
    ],
)
def test_url_of_a_webhook_is_taken_as_it_is(read, url):
    (account,) = read(f'webhook = "{url}"').accounts
    assert account.webhook == url
    assert url not in repr(account)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("hooks.example.net", "must be a URL"),
        ("ftp://www.example.org/", "must be a URL"),
        ("https:///cometify", "must be a URL"),
        ("https://www.example.org/#part", "must be a URL"),
        ("https://www.example.org/a b", "must be a URL"),
        ("https://www.exämple.org/", "must be a URL"),
        ("https://www.example.org:99999/", "must be a URL"),
        ("https://www.example.org:0/", "must be a URL"),
        ("https://[::1/", "must be a URL"),
        ("https://user@www.example.org/", "must not have a user or a password"),
        ("https://user:s3cret@www.example.org/", "must not have a user or a password"),
        ("", "must be a string that is not empty"),
    ],
)
def test_other_urls_are_refused_and_not_repeated(read, url, reason):
    with pytest.raises(SettingsError) as refused:
        read(f'webhook = "{url}"')
    assert f"webhook: {reason}" in str(refused.value)
    assert not url or url not in str(refused.value)


def test_url_without_tls_needs_a_network(read):
    line = 'webhook = "http://127.0.0.1:8000/hook"'
    with pytest.raises(SettingsError, match="account 37282591: webhook: must begin with https://, or webhook_networks"):
        read(line)
    (network,) = read(line, 'webhook_networks = ["127.0.0.1"]').webhook_networks
    assert str(network) == "127.0.0.1/32"
