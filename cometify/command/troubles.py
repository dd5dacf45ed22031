"""Faults of a server, of its proxy or of its account, as a client meets them, and their remedies."""

REMEDIES = {
    "unreachable": "Start the server, or correct the host and the port of the URL.",
    "tls_chain": "Have the server send the whole chain: fullchain.pem, and not cert.pem alone.",
    "tls_name": "Get a certificate for this host name, or use the host name of the certificate.",
    "tls_expired": "Renew the certificate.",
    "tls_untrusted": "Get a certificate of an authority that clients trust. For a test, name yours in SSL_CERT_FILE.",
    "not_cometify": "Correct the URL, or have the proxy pass this path on.",
    "no_node": "Start the server behind the proxy, and check the address to which the proxy passes requests.",
    "old_version": "Update the server.",
    "wrong_clock": "Set the clocks of the server and of this machine (NTP). Restart the server if the engine's clock is wrong.",
    "wrong_key": "Correct the API key in the URL, or add its account to the server's configuration.",
    "wrong_secret": "Correct the API secret in the URL.",
    "no_upgrade": "Have the proxy pass WebSockets on. nginx: proxy_http_version 1.1, and the headers Upgrade and Connection.",
    "buffering": "Have the proxy pass on each byte as it comes. nginx: proxy_buffering off, and gzip off.",
    "silent": "Find the proxy or firewall on the way that holds connections up, and read the log of the server.",
    "slow": "Find the proxy on the way that waits before it passes data on. HAProxy: option http-no-delay.",
    "full": "Raise listeners_per_ip, listeners or pushes_per_second of the account. Name your proxy in trusted_proxies.",
    "suspended": "Ask the operator of the server why the account is suspended.",
    "draining": "Start the server again, or wait until it has restarted.",
    "redis_away": "Start Redis, or correct `redis` in the server's configuration.",
    "no_replicas": "Start a replica of Redis, or lower `redis_wait` in the server's configuration.",
    "overloaded": "Give the server more workers or nodes.",
    "refused": "Follow the sentence of the server.",
    "untrusted_proxy": "Name the proxy in trusted_proxies. Have it send X-Forwarded-For and X-Forwarded-Proto.",
    "few_descriptors": "Raise the limit of open files: LimitNOFILE of systemd, or ulimit -n.",
    "no_admin": "Correct the URL of --admin: it is the endpoint `admin` of the server's configuration.",
}
"""The remedies by the name of the fault. docs/doctor.md explains the faults."""

FAULT_OF_CODE = {
    "not_authorized": "wrong_key",
    "too_many_listeners": "full",
    "too_many_pushes": "full",
    "account_suspended": "suspended",
    "draining": "draining",
    "engine_unavailable": "redis_away",
    "overloaded": "overloaded",
}
"""The fault that an error code of the server means."""

GATEWAYS = (502, 503, 504)
"""Statuses of a proxy that reached no server. The server itself gives 503 with a problem document."""


class Trouble(Exception):
    """A check cannot go on. `fault`: a key of `REMEDIES`."""

    def __init__(self, fault: str, detail: str) -> None:
        super().__init__(fault, detail)
        self.fault = fault
        self.detail = detail
