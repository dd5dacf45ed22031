"""The networks that count as one client, and the networks of proxies."""

from ipaddress import ip_network

import pytest

from cometify.core.client_network import address_of, is_in


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("/run/http.socket", "/run/http.socket"),
    ],
)
def test_client_is_an_ipv4_address_or_an_ipv6_64(host, network):
    assert address_of(host) == network


NETWORKS = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]


@pytest.mark.parametrize("host", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8:5::1", "2001:db8::1%eth0"])
def test_address_is_found_in_its_network(host):
    assert is_in(host, NETWORKS)


@pytest.mark.parametrize("host", ["192.0.3.7", "::ffff:192.0.3.7", "2001:db9::1", "/run/http.socket", ""])
def test_other_addresses_and_texts_are_in_no_network(host):
    assert not is_in(host, NETWORKS)
    assert not is_in(host, [])
