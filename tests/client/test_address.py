"""The URL of an account, as programs that push read it."""

import pickle
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cometify.client.address import Address, read_server, read_url
from cometify.client.errors import CometifyError, MaybePushed

SECRET = "dj28DNam!!nx72*"


def refused(url, **options):
    with pytest.raises(CometifyError) as caught:
        read_url(url, **options)
    assert caught.value.code == "invalid_url"
    return caught.value.detail


@pytest.mark.parametrize(
    ("url", "origin", "prefix"),
    [
        (f"https://k:{SECRET}@push.example.org", "https://push.example.org", ""),
        (f"https://k:{SECRET}@Push.example.org:443/", "https://push.example.org", ""),
        (f"http://k:{SECRET}@localhost:8081/push/", "http://localhost:8081", "/push"),
        (f"http://k:{SECRET}@[::1]:80/a/b", "http://[::1]", "/a/b"),
        (f"https://k:{SECRET}@bücher.example:8443", "https://xn--bcher-kva.example:8443", ""),
        (f" https://k:{SECRET}@a.example\n", "https://a.example", ""),
    ],
)
def test_url_has_the_server_and_the_account(url, origin, prefix):
    address = read_url(url)
    assert (address.origin, address.prefix) == (origin, prefix)
    assert (address.api_key, address.api_secret) == ("k", SECRET)
    assert not address.bearer


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_every_secret_can_be_percent_encoded(secret):
    assert read_url(f"https://k:{quote(secret, safe='')}@push.example.org").api_secret == secret


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://push.example.org", "must have the account"),
        ("https://k@push.example.org", "must have the account"),
        (f"ftp://k:{SECRET}@push.example.org", "must begin with https://"),
        (f"k:{SECRET}@push.example.org", "must begin with https://"),
        (f"https://k:{SECRET}/{SECRET}@push.example.org", "percent-encode /"),
        (f"https://k:{SECRET}#{SECRET}@push.example.org", "percent-encode /"),
        (f"https://k:{SECRET}[@push.example.org", "percent-encode /"),
        (f"https://k:{SECRET}@push.example.org:port", "cannot be read"),
        (f"https://k:{SECRET}@push.example.org:99999", "cannot be read"),
        (f"https://k:{SECRET}@", "no host name"),
        (f"https://k:{SECRET}@push example.org", "no host name"),
        (f"https://k:{SECRET}@[::1%25a b]", "no host name"),
        (f"https://k:{SECRET}@push.example.org/a b", "path of the URL"),
        (f"https://k:{SECRET}@push.example.org#{SECRET}", "path of the URL"),
        (f"https://k:{SECRET}@push.example.org?{SECRET}=1", "bearer=1 and nothing else"),
        (f"https://k:{SECRET}@push.example.org?bearer=yes", "bearer=1 and nothing else"),
        (f"https://k.:{SECRET}@push.example.org", "API key has 1 to 64"),
        (f"https://k:\ud800{SECRET}@push.example.org", "not UTF-8"),
        (f"https://k:%FF{SECRET}@push.example.org", "must be UTF-8"),
        (f"https://k:{SECRET}%ED%A0%80@push.example.org", "must be UTF-8"),
        (f"https://k%C3:{SECRET}@push.example.org", "must be UTF-8"),
        (f"http://k:{SECRET}@push.example.org?bearer=1", "Use https"),
        (f"https://k:{SECRET}%0A@push.example.org?bearer=1", "not printable ASCII"),
        (f"https://k:{SECRET}%20@push.example.org?bearer=1", "not printable ASCII"),
    ],
)
def test_unusable_url_is_refused_without_its_secret(url, message):
    detail = refused(url)
    assert message in detail
    assert SECRET not in detail


@pytest.mark.parametrize(
    "url",
    ["https://k:s@push.example.org", "http://k:s@localhost:8081", "http://k:s@127.0.0.2", "http://k:s@[::1]:8081"],
)
def test_bearer_goes_over_tls_and_to_this_machine(url):
    assert read_url(url, bearer=True).bearer
    assert read_url(f"{url}?bearer=1").bearer
    assert not read_url(f"{url}?bearer=0", bearer=True).bearer


def test_account_can_stand_beside_the_url():
    address = read_server("https://push.example.org/push", "k", SECRET)
    assert address == read_url(f"https://k:{SECRET}@push.example.org/push")
    for wrong in (f"https://k:{SECRET}@push.example.org", "https://push.example.org?bearer=1"):
        with pytest.raises(CometifyError) as caught:
            read_server(wrong, "k", SECRET)
        assert SECRET not in str(caught.value)


def test_secret_stands_in_no_repr():
    assert SECRET not in repr(read_url(f"https://k:{SECRET}@push.example.org"))
    assert "push.example.org" in repr(Address("https", "push.example.org", 443, "", "k", SECRET))


def test_errors_can_be_pickled():
    error = MaybePushed("no_answer", "Send it again.", 502, 1.5, "key")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    assert type(copy) is MaybePushed
    assert vars(copy) == vars(error)
    assert str(copy) == "no_answer: Send it again."
