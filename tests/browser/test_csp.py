"""A page whose policy lets nothing in but the client and its connections, and that demands Trusted Types."""

from collections.abc import Callable

from tests.browser.conftest import Everywhere
from tests.browser.engine import HEARTBEAT
from tests.browser.site import JOURNAL, Site, listens
from tests.browser.visitor import TRANSPORTS
from tests.conftest import Server

VIOLATIONS = """
var violations = [];
document.addEventListener('securitypolicyviolation', ({violatedDirective, blockedURI}) => {
  if (!blockedURI.endsWith('/favicon.ico')) violations.push([violatedDirective, blockedURI]); // Firefox asks by itself
});
function attempt() {
  return new Promise((done) => setTimeout(() => {
    try { done(eval('1')); } catch (error) { done(error.name); }
  }));
}
"""


def test_strict_policy_allows_every_transport(make_server: Callable[..., Server], site: Site, everywhere: Everywhere):
    server = make_server(heartbeat=HEARTBEAT)
    host = f"127.0.0.1:{server.port}"
    statements = [listens("strict", transport, transports=[transport]) for transport in TRANSPORTS]
    shared = listens("strict", "shared", share=True)
    first = site.add(VIOLATIONS, "js")
    last = site.add(JOURNAL + "".join(statements) + shared, "js")
    # A policy also names the site itself, because the page's own code comes from there.
    policy = (
        f"default-src 'none'; script-src {site.origin} http://{host}; connect-src http://{host} ws://{host};"
        " require-trusted-types-for 'script'; trusted-types 'none'"
    )
    page = site.add(
        f"""<!doctype html>
<title>Strict</title>
<script src="{first}"></script>
<script src="http://{host}/latest/cometify.min.js"></script>
<script src="http://{host}/latest/cometify.share.min.js"></script>
<script src="{last}"></script>
""",
        Content_Security_Policy=policy,
    )
    tabs = everywhere(page)
    for tab in tabs.values():
        tab.until("connected()", show="journals")
    server.pushed("strict", "let in")
    for engine, tab in tabs.items():
        for name in (*TRANSPORTS, "shared"):
            tab.until(f"journals.{name}.got.length", show="[journals, violations]")
            assert tab.evaluate(f"journals.{name}.got") == [["strict", "let in"]], (engine, name)
        assert tab.evaluate("violations") == [], engine
        assert tab.evaluate("attempt()") != 1, engine  # the policy is in force
