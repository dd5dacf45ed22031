"""The URL of an endpoint, for a browser on the same machine."""

import pytest

from cometify.config.endpoint_url import url_of


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("tcp:8081", "http://localhost:8081"),
        ("tcp:port=8081", "http://localhost:8081"),
        ("tcp:8081:interface=127.0.0.1", "http://localhost:8081"),
        ("tcp:8081:interface=0.0.0.0", "http://localhost:8081"),
        ("tcp:8081:interface=10.0.0.5", "http://10.0.0.5:8081"),
        ("tcp:8081:backlog=100:interface=10.0.0.5", "http://10.0.0.5:8081"),
        ("tcp6:8081", "http://localhost:8081"),
        (r"tcp6:8081:interface=\:\:", "http://localhost:8081"),
        (r"tcp6:8081:interface=\:\:1:backlog=5", "http://localhost:8081"),
        (r"tcp:8081:interface=2001\:db8\:\:5", "http://[2001:db8::5]:8081"),
        ("ssl:443:privateKey=key.pem:certKey=cert.pem", "https://localhost:443"),
        ("ssl:port=443:interface=10.0.0.5", "https://10.0.0.5:443"),
        ("unix:/run/cometify.sock", None),
        ("unix:address=/run/cometify.sock:mode=660", None),
        ("haproxy:tcp:8081", None),
        ("systemd:domain=INET:index=0", None),
        ("tcp:", None),
    ],
)
def test_url_of_an_endpoint_works_on_this_machine(endpoint, url):
    assert url_of(endpoint) == url
