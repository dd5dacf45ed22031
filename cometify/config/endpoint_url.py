"""The URL of an endpoint, as a browser on this machine writes it."""

import re

_FIELD = r"((?:\\.|[^:\\])+)"
"""A field of an endpoint. A backslash escapes a colon that does not end the field."""
_LOCAL = ("0.0.0.0", "127.0.0.1", "::", "::1")  # noqa: S104 - Nothing listens here; localhost finds all four.


def url_of(endpoint: str) -> str | None:
    """Return the URL at which a browser on this machine finds an endpoint. None if the endpoint does not tell."""
    match = re.fullmatch(r"(tcp|tcp6|ssl):(?:port=)?(\d+)(?::.*)?", endpoint)
    if match is None:
        return None
    scheme = "https" if match[1] == "ssl" else "http"
    interface = re.search(f":interface={_FIELD}", endpoint)
    host = re.sub(r"\\(.)", r"\1", interface[1]) if interface else _LOCAL[0]
    host = "localhost" if host in _LOCAL else f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{match[2]}"
