"""The tag that loads the browser client from the push server."""

import hashlib
from base64 import b64encode
from functools import cache
from html import escape
from pathlib import Path

from cometify import __version__

_NAME = "cometify.min.js"
_BUILT = Path(__file__).parents[1] / "static" / _NAME


class Markup(str):
    """HTML that templates of Django and Jinja print as it stands."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


@cache
def integrity() -> str:
    """Return the value of `integrity`: browsers then run exactly the file of this version, and refuse any other."""
    return f"sha384-{b64encode(hashlib.sha384(_BUILT.read_bytes()).digest()).decode()}"


def script_tag(server: str, *, pinned: bool = True, nonce: str | None = None) -> Markup:
    """Return the tag for a page.

    - `server`: the URL at which browsers reach the push server.
    - `pinned`: True: exactly the version of this package, with its hash. The server must run the same version. False: the
      version that the server runs, without a hash.
    - `nonce`: of the page's content security policy.
    """
    folder = __version__ if pinned else "latest"
    attributes = {"src": f"{server}/{folder}/{_NAME}"}
    if pinned:
        attributes["integrity"] = integrity()
    if nonce is not None:
        attributes["nonce"] = nonce
    written = " ".join(f'{name}="{escape(str(value))}"' for name, value in attributes.items())
    return Markup(f"<script {written} crossorigin></script>")
