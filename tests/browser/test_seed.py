"""The seed made executable, sentence by sentence: its page, its publisher, a real browser between them."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.boxes import Buffering, NoWebSocket
from tests.browser.publishers import PUBLISHERS, SAMPLES, fill, run_seed_php, run_text
from tests.browser.site import Site
from tests.browser.visitor import TRANSPORTS, Visitor
from tests.conftest import Server
from tests.wire import API_KEY, FORM, form, secure, secure_key

Visit = Callable[..., Visitor]

SEED_HTML = """<!-- JavaScript listener example -->
<script src="https://cometify.org/latest/cometify.min.js"></script>
<script>
    // Using the API secret: 'dj28DNam!!nx72*'

    Cometify.init({
        apiKey: 37282591,
        identifiers: ['guestbook', 'comments', 'oneliner'],
        secureKey: '5b70b14ea396f689a1b9550ba66025bc',
        callback: 'cometifyCallback'
    }).start();

    function cometifyCallback(data, id, identifier) {
        alert('Data: ' + data + '; Identifier: ' + identifier);
    }
</script>
"""

NAMES = ("guestbook", "comments", "oneliner")


class Way(NamedTuple):
    """A way to the server: the transports that the page must try, and the one that it must end up with."""

    server: str
    tried: list[str]

    @property
    def transport(self) -> str:
        return self.tried[-1]


@pytest.fixture(
    params=["direct", "no WebSocket in the browser", "no WebSocket on the way", "streams buffered for ever"]
)
def way(request: pytest.FixtureRequest, server: Server, context: BrowserContext) -> Iterator[Way]:
    url = "http://127.0.0.1:{}"
    with ExitStack() as stack:
        match request.param:
            case "direct":
                yield Way(url.format(server.port), ["websocket"])
            case "no WebSocket in the browser":
                context.add_init_script("delete window.WebSocket")
                yield Way(url.format(server.port), ["stream"])
            case "no WebSocket on the way":
                proxy = stack.enter_context(NoWebSocket(server.port))
                yield Way(url.format(proxy.port), ["websocket", "stream"])
                assert proxy.refused == 2
            case _:
                proxy = stack.enter_context(Buffering(server.port))
                yield Way(url.format(proxy.port), ["websocket", "stream", "poll"])


@pytest.fixture
def direct(server: Server) -> Way:
    return Way(f"http://127.0.0.1:{server.port}", ["websocket"])


def listening(server: str, options: str, more: str = "") -> str:
    """A page that lists the arguments of its callback `show` as JSON."""
    return f"""<!doctype html>
<ul></ul>
<script src="{server}/latest/cometify.min.js"></script>
<script>
  function show(...all) {{
    document.querySelector('ul').append(Object.assign(document.createElement('li'), {{textContent: JSON.stringify(all)}}));
  }}
  {more}
  var listener = Cometify.init({options}).start();
</script>
"""


def options(identifiers: Any, callback: str = "show", **more: Any) -> str:
    """The argument of `Cometify.init`. `callback` is JavaScript."""
    plain = json.dumps({"apiKey": int(API_KEY), "identifiers": identifiers, **more})
    return f'{plain[:-1]}, "callback": {callback}}}'


def shown(visitor: Visitor, count: int) -> list[list[Any]]:
    """Wait until the page's callback was called so many times. Returns the arguments of all calls."""
    items = visitor.page.locator("li")
    expect(items).to_have_count(count, timeout=10_000)
    return [json.loads(text) for text in items.all_text_contents()]


# --------------------------------------------------------------- the example, whole


def test_seed_and_sample_page_hear_every_publisher(server: Server, site: Site, visit: Visit, way: Way, tmp_path: Path):
    seed = visit(site.add(SEED_HTML.replace("https://cometify.org", way.server)))
    port = int(way.server.rpartition(":")[2])
    sample = visit(site.add(fill((SAMPLES / "listen.html").read_text(), port)))
    seed.joined(way.transport)
    sample.joined(way.transport)
    assert site.origin != way.server

    for name, publish in PUBLISHERS.items():
        publish(server.port, f"Hello from {name}", tmp_path)
    expected = [f"Data: Hello from {name}; Identifier: oneliner" for name in PUBLISHERS]
    seed.until(lambda: len(seed.dialogs) >= len(expected))
    assert seed.dialogs == expected

    # The samples as they stand, to the page as it stands.
    names = ["push.php", "push.py", "push.mjs", "push.sh"]
    answers = [run_text(name, fill((SAMPLES / name).read_text(), server.port), tmp_path) for name in names]
    expect(sample.page.locator("li")).to_have_text(
        [f"chat: Hello from {name}" for name in ("PHP", "Python", "Node", "the shell")]
    )
    assert all(json.loads(answer)["identifier"] == "chat" for answer in answers)

    for visitor in (seed, sample):
        assert visitor.asked == way.tried
        assert visitor.answering == {way.transport}


def test_php_sample_pushes_without_reading(server: Server, site: Site, visit: Visit, direct: Way):
    visitor = visit(site.add(listening(direct.server, options(NAMES, secureKey=secure_key(*NAMES)))), "websocket")
    texts = [f"Hello world! {number}" for number in range(100)]
    with ThreadPoolExecutor(2 * (os.cpu_count() or 2)) as pool:
        list(pool.map(lambda text: run_seed_php(server.port, text), texts))
    got = shown(visitor, 100)
    assert sorted(data for data, _, _ in got) == sorted(texts)
    assert all((push_id, identifier) == (None, "oneliner") for _, push_id, identifier in got)


def test_samples_make_the_secure_key_of_the_seed_s_formula(tmp_path: Path):
    for name in ("secure-key.php", "secure-key.py", "secure-key.mjs", "secure-key.sh"):
        sample = (SAMPLES / name).read_text().replace("YOUR_API_KEY", "1").replace("YOUR_API_SECRET", "c1h89chHaka9s1")
        assert run_text(name, sample, tmp_path).strip() == "d6d02dbf813a87619a1ab325878942b0"


def test_page_can_use_the_websocket_server_s_own_port(server: Server, site: Site, visit: Visit, direct: Way):
    own = f"http://127.0.0.1:{server.websocket_port}"
    html = listening(direct.server, options("own_port", server=own, transports=["websocket"]))
    visitor = visit(site.add(html), "websocket")
    server.pushed("own_port", "pushed")
    assert shown(visitor, 1) == [["pushed", None, "own_port"]]
    assert visitor.websockets == [f"ws://127.0.0.1:{server.websocket_port}/{API_KEY}/websocket"]


# --------------------------------------------------------------- identifiers


def test_each_listener_listens_on_its_own_identifiers_only(server: Server, site: Site, visit: Visit, direct: Way):
    visitor = visit(site.add(listening(direct.server, options(["one_1", "two_1"]))), "websocket")
    for name in ("one_1", "three_1", "two_1"):
        server.pushed(name, f"to {name}")
    assert shown(visitor, 2) == [["to one_1", None, "one_1"], ["to two_1", None, "two_1"]]


@pytest.mark.parametrize(
    ("identifiers", "spelled"),
    [("MixedA", "MixedA"), (["MixedB"], "MixedB"), ({"MixedC": 0}, "MixedC"), ("a" * 60, "a" * 60)],
    ids=["string", "array", "map", "60 characters"],
)
def test_identifier_keeps_the_spelling_of_the_page(
    server: Server, site: Site, visit: Visit, direct: Way, identifiers: Any, spelled: str
):
    visitor = visit(site.add(listening(direct.server, options(identifiers))), "websocket")
    server.pushed(spelled.upper(), "loud", push_id=1)
    server.pushed(spelled.lower(), "quiet", push_id=2)
    assert shown(visitor, 2) == [["loud", 1, spelled], ["quiet", 2, spelled]]


NO_IDENTIFIERS = ["1chat", "_chat", "chat room", "chat\n", "a" * 101, "chat,news", ""]
"""Names that no account allows, so the page itself refuses them."""

EXTENDED_IDENTIFIERS = ["chat-room", "chat.room", "a" * 61]
"""Names that this account does not allow. A page does not know the rule of its account, so the server refuses them."""


def test_invalid_identifier_is_refused_everywhere(server: Server, site: Site, visit: Visit, direct: Way):
    visitor = visit(site.add(listening(direct.server, options("chat"))), "websocket")
    complain = """name => {
        try { Cometify.init({apiKey: 1, identifiers: [name], callback: show}); } catch (error) { return String(error); }
    }"""
    refused = """([apiKey, name]) => new Promise((tell) => Cometify.init({apiKey, identifiers: [name], callback: show})
        .start().on('error', ({code, fatal}) => tell([code, fatal])))"""
    for identifier in NO_IDENTIFIERS:
        assert "TypeError: Cometify needs identifiers" in visitor.page.evaluate(complain, identifier)
    for identifier in EXTENDED_IDENTIFIERS:
        assert visitor.page.evaluate(refused, [API_KEY, identifier]) == ["invalid_identifier", False]
    for identifier in NO_IDENTIFIERS + EXTENDED_IDENTIFIERS:
        fields = {"text": "", "secret": "0", "secure": secure(identifier, "")}
        answer = server.request("POST", f"/{API_KEY}/push/{quote(identifier)}", form(fields), FORM)
        assert (answer.status, answer.json["code"]) == (400, "invalid_identifier"), identifier


# --------------------------------------------------------------- internal ids


def test_internal_id_replays_only_higher_push_ids(server: Server, site: Site, visit: Visit, direct: Way):
    for name in ("metrics", "tweets"):
        for push_id in (59, 60, 100, 101):
            server.pushed(name, f"early {push_id}", push_id=push_id)
    visitor = visit(site.add(listening(direct.server, options({"metrics": 59, "tweets": 100}))), "websocket")
    early = shown(visitor, 4)
    assert early == [
        ["early 60", 60, "metrics"],
        ["early 100", 100, "metrics"],
        ["early 101", 101, "metrics"],
        ["early 101", 101, "tweets"],
    ]
    for name, push_id in (("metrics", 59), ("metrics", 61), ("tweets", 100), ("tweets", 102), ("tweets", None)):
        server.pushed(name, "live", push_id=push_id)
    assert shown(visitor, 7)[4:] == [["live", 61, "metrics"], ["live", 102, "tweets"], ["live", None, "tweets"]]


def test_internal_id_0_brings_every_push_that_is_kept(server: Server, site: Site, visit: Visit, direct: Way):
    for push_id in (None, 5, 3):
        server.pushed("zero", f"early {push_id}", push_id=push_id)
    visitor = visit(site.add(listening(direct.server, options({"zero": 0}))), "websocket")
    assert shown(visitor, 3) == [["early None", None, "zero"], ["early 5", 5, "zero"], ["early 3", 3, "zero"]]


def test_without_internal_id_nothing_pushed_before_arrives(server: Server, site: Site, visit: Visit, direct: Way):
    server.pushed("plain", "early", push_id=1)
    visitor = visit(site.add(listening(direct.server, options(["plain"]))), "websocket")
    server.pushed("plain", "live", push_id=2)
    assert shown(visitor, 1) == [["live", 2, "plain"]]


def test_large_push_id_is_not_rounded(server: Server, site: Site, visit: Visit, direct: Way):
    visitor = visit(site.add(listening(direct.server, options({"big": "9223372036854775806"}))), "websocket")
    server.pushed("big", "as many", push_id=2**63 - 2)
    server.pushed("big", "more", push_id=2**63 - 1)
    assert shown(visitor, 1) == [["more", str(2**63 - 1), "big"]]


# --------------------------------------------------------------- callback


@pytest.mark.parametrize(
    ("callback", "more"),
    [
        ("function (data, id, identifier) { show(data, id, identifier); }", ""),
        ("(...all) => show(...all)", ""),
        ("'later'", "function later(...all) { show(...all); }"),
        ("'app.news.later'", "var app = {news: {show, later(...all) { this.show(...all); }}};"),
        ("'tardy'", "setTimeout(() => { window.tardy = show; });"),
    ],
    ids=["inline function", "arrow function", "name", "dotted name", "name declared after the start"],
)
def test_callback_in_each_of_its_forms(server: Server, site: Site, visit: Visit, direct: Way, callback: str, more: str):
    # A page that forbids eval: a name is looked up.
    policy = f"default-src 'none'; script-src 'unsafe-inline' {direct.server}; connect-src {direct.server} ws:"
    html = listening(direct.server, options(["forms"], callback), more)
    visitor = visit(site.add(html, Content_Security_Policy=policy), "websocket")
    server.pushed("forms", "pushed", push_id=12)
    assert shown(visitor, 1) == [["pushed", 12, "forms"]]
    assert visitor.errors == []


def test_callback_that_throws_costs_no_later_push(server: Server, site: Site, visit: Visit, direct: Way):
    callback = "function (...all) { show(...all); throw new Error('of the page'); }"
    visitor = visit(site.add(listening(direct.server, options("throws", callback))), "websocket")
    for text in ("one", "two"):
        server.pushed("throws", text)
    assert shown(visitor, 2) == [["one", None, "throws"], ["two", None, "throws"]]
    visitor.until(lambda: len(visitor.errors) == 2)
    assert all("of the page" in error for error in visitor.errors)


# --------------------------------------------------------------- secret


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_only_secret_pushes_need_the_secure_key(server: Server, site: Site, visit: Visit, direct: Way, transport: str):
    names = (f"With_{transport}", "tweets")

    def page(**more: Any) -> Visitor:
        return visit(site.add(listening(direct.server, options(names, transports=[transport], **more))), transport)

    with_key = page(secureKey=secure_key(*names))
    without = page()
    wrong = page(secureKey=secure_key(*reversed(names)))
    server.pushed(names[0].lower(), "for few", secret=1)
    server.pushed("tweets", "for all")
    assert shown(with_key, 2) == [["for few", None, names[0]], ["for all", None, "tweets"]]
    assert shown(without, 1) == shown(wrong, 1) == [["for all", None, "tweets"]]
    assert [visitor.asked for visitor in (with_key, without, wrong)] == [[transport]] * 3
    assert not with_key.errors
    assert not without.errors
    assert any("secureKey does not match" in error for error in wrong.errors)


def test_seed_s_vectors_open_the_seed_s_account(make_server: Callable[..., Server], site: Site, visit: Visit):
    server = make_server(account={"api_key": "1", "api_secret": "c1h89chHaka9s1"})
    key = "d6d02dbf813a87619a1ab325878942b0"
    html = listening(
        f"http://127.0.0.1:{server.port}",
        json.dumps({"apiKey": 1, "identifiers": ["metrics", "tweets"], "secureKey": key, "callback": "show"}),
        "Cometify.init({apiKey: 1, identifiers: 'visitors', callback: show}).start();",
    )
    visitor = visit(site.add(html), "websocket")
    visitor.until(lambda: len(visitor.websockets) == 2 and len(visitor.sent_frames) == 2)
    md5hex = hashlib.md5(b"c1h89chHaka9s1", usedforsecurity=False).hexdigest()
    secret = hashlib.md5(f"1{md5hex}tweetsx".encode(), usedforsecurity=False).hexdigest()
    assert server.push("tweets", "x", 1, key="1", secure=secret).json["listeners"] == 1
    answer = server.push("visitors", "284 people", key="1", secure="149f26540f697a97e886e2527466c6e8")
    assert answer.status == 200
    assert sorted(shown(visitor, 2)) == [["284 people", None, "visitors"], ["x", None, "tweets"]]


@pytest.mark.parametrize("missing", ["text", "secret", "secure"])
def test_required_parameter_of_a_push_is_required(server: Server, missing: str):
    fields = {"identifier": "chat", "text": "x", "secret": "0", "secure": secure("chat", "x")}
    del fields[missing]
    body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = server.request("POST", f"/{API_KEY}/push/chat", body, headers)
    assert (answer.status, answer.json["code"]) == (400, "missing_parameter")
    assert missing in answer.json["detail"]


# --------------------------------------------------------------- text


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_text_arrives_as_it_was_sent_up_to_64_kilobytes(
    server: Server, site: Site, visit: Visit, direct: Way, transport: str
):
    visitor = visit(site.add(listening(direct.server, options("text", transports=[transport]))), transport)
    texts = ["", "a=1&b=2+3%20#;", "<b>&amp;</b>", "Grüße, 世界 \U0001f30d", 'lines\r\n\t"\\\u2028\u2029\x7f\ufeff']
    texts += ["x" * 65536, "é" * 32768]
    for text in texts:
        server.pushed("text", text)
    assert server.push("text", "x" * 65537).json["code"] == "text_too_long"
    assert [data for data, _, _ in shown(visitor, len(texts))] == texts
    assert visitor.asked == [transport]


def test_browser_inflates_every_text(server: Server, site: Site, visit: Visit, direct: Way, context: BrowserContext):
    visitor = visit("about:blank")
    session = context.new_cdp_session(visitor.page)
    answers: list[str] = []
    session.on(
        "Network.webSocketHandshakeResponseReceived", lambda came: answers.append(came["response"]["headersText"])
    )
    session.send("Network.enable")
    visitor.open(site.add(listening(direct.server, options("deflated"))), "websocket")
    assert len(answers) == 1
    assert "permessage-deflate; server_no_context_takeover; client_no_context_takeover" in answers[0]
    texts = [os.urandom(16_000).hex(), "short", "again and " * 6_000, "short", os.urandom(1_000).hex()]
    for text in texts:
        server.pushed("deflated", text)
    assert [data for data, _, _ in shown(visitor, len(texts))] == texts
    assert visitor.asked == ["websocket"]


# --------------------------------------------------------------- thirty listeners


def test_31st_listener_is_refused_and_others_stay(make_server: Callable[..., Server], site: Site, visit: Visit):
    server = make_server(account={"listeners_per_ip": 30})
    origin = f"http://127.0.0.1:{server.port}"
    with ExitStack() as stack:
        wires = [stack.enter_context(server.websocket("identifiers=chat")) for _ in range(29)]
        for wire in wires:
            wire.joined()
        thirtieth = visit(site.add(listening(origin, options("chat"))), "websocket")
        visitor = visit(site.add(listening(origin, options("chat"))))
        visitor.until(lambda: visitor.errors)
        assert "too_many_listeners" in visitor.errors[0]
        assert server.pushed("chat", "to thirty")
        assert [wire.texts(1) for wire in wires] == [["to thirty"]] * 29
        assert shown(thirtieth, 1) == [["to thirty", None, "chat"]]
        assert shown(visitor, 0) == []
