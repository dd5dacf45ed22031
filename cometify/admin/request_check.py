"""The checks of a pasted request: a push or another signed request of a back end, or a request to listen with a secureKey."""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import attrs

from cometify.admin.check import Check, Variant, account_check, outcome, signature_check, wrong_secrets
from cometify.core.account import Account
from cometify.core.hmac_signature import SignedRequest, check_signed_request, digest
from cometify.core.md5_signature import md5hex, secure, secure_key

_HEADERS = ("cometify-timestamp", "cometify-nonce", "cometify-signature")
_CONTENT_TYPES = ("", "application/json", "application/x-www-form-urlencoded", "application/json; charset=utf-8")


@attrs.frozen
class PastedRequest:
    """A request as it was pasted. `headers`: by their names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: str = attrs.field(repr=False)

    @classmethod
    def read(cls, text: str) -> "PastedRequest | None":
        """Read the text of a request. None: it does not begin with a method and a target."""
        head, _, body = text.replace("\r\n", "\n").lstrip().partition("\n\n")
        first, *lines = head.split("\n")
        words = first.split()
        if len(words) < 2 or not words[0].isalpha():
            return None
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(words[0].upper(), words[1], headers, body)

    @property
    def path(self) -> str:
        """The path as it was sent, without the query."""
        return urlsplit(self.target).path

    @property
    def segments(self) -> list[str]:
        """The segments of the path, decoded."""
        return [unquote(segment) for segment in self.path.split("/")[1:]]


def check_request(find: Callable[[str], Account | None], text: str, now: float) -> list[Check]:
    """Check a pasted request. `find`: the account of an API key. `now`: the wall clock, in Unix seconds."""
    request = PastedRequest.read(text)
    if request is None:
        return [
            Check(
                "request",
                False,
                "Paste a whole request: POST /37282591/push/chat, its headers, an empty line, its body.",
            )
        ]
    api_key = request.segments[0] if request.segments else ""
    account = find(api_key)
    checks = [account_check(account, api_key)]
    if account is None:
        return checks
    if any(name in request.headers for name in _HEADERS):
        return [*checks, *_hmac(account, api_key, request, now)]
    if "authorization" in request.headers:
        return [*checks, *_bearer(account, request.headers["authorization"])]
    query = dict(parse_qsl(urlsplit(request.target).query, keep_blank_values=True))
    if "secureKey" in query:
        return [*checks, _secure_key(account, api_key, query)]
    return [*checks, *_secure(account, api_key, request)]


# Signed with HMAC.


def _hmac(account: Account, api_key: str, request: PastedRequest, now: float) -> Iterator[Check]:
    missing = [name for name in _HEADERS if not request.headers.get(name)]
    yield Check(
        "headers", not missing, f"Missing: {', '.join(missing)}." if missing else "The three headers are there."
    )
    if missing:
        return
    signed = SignedRequest(
        request.method.encode(), request.path.encode(), request.headers.get("content-type", ""),
        request.headers.get("idempotency-key", ""), digest(request.body.encode()),
        *[request.headers[name] for name in _HEADERS],
    )  # fmt: skip
    yield _timestamp(signed.timestamp, now)

    def sign(secret: str, request: SignedRequest = signed) -> str:
        return hmac.digest(secret.encode(), request.signed_bytes, hashlib.sha256).hex()

    def variants(secret: str) -> Iterator[Variant]:
        for changed, words in _changed(signed, request):
            yield words, sign(secret, changed)
        for wrong, words in wrong_secrets(secret, api_key):
            yield words, sign(wrong)

    yield signature_check("signature", signed.signature, account, sign, variants)
    good = "The server accepts this request, if its nonce was not used yet."
    yield outcome("server", lambda: check_signed_request(account, signed, now), good)


def _changed(signed: SignedRequest, request: PastedRequest) -> Iterator[tuple[SignedRequest, str]]:
    """Variants of a request, each with the mistake that would explain it."""
    for content_type in _CONTENT_TYPES:
        shown = f"the Content-Type {content_type}" if content_type else "no Content-Type"
        words = f"It was made for {shown}, and another one is sent: sign the header exactly as it is sent."
        yield attrs.evolve(signed, content_type=content_type), words
    bodies = {
        "It was made for the body without its last line end: sign the bytes that are sent.": request.body.rstrip("\n"),
        "It was made for the body with a line end behind it: sign the bytes that are sent.": f"{request.body}\n",
        "It was made for the body with line ends of Windows: sign the bytes that are sent.": request.body.replace(
            "\n", "\r\n"
        ),
        "It was made for an empty body: sign the bytes that are sent.": "",
    }
    for words, body in bodies.items():
        yield attrs.evolve(signed, digest=digest(body.encode())), words
    paths = {
        "It was made for the path with the query: sign the path alone.": request.target,
        "It was made for the path in lower case: sign it as it is sent.": request.path.lower(),
        "It was made for the decoded path: sign it as it is sent.": unquote(request.path),
        "It was made for another encoding of the path: sign it as it is sent.": quote(unquote(request.path)),
        "It was made for the path with a slash at its end: sign it as it is sent.": f"{request.path}/",
        "It was made for the path without its first slash: sign it as it is sent.": request.path.lstrip("/"),
    }
    for words, path in paths.items():
        yield attrs.evolve(signed, path=path.encode()), words
    key = "It was made without the Idempotency-Key: sign that header too."
    yield attrs.evolve(signed, idempotency_key=""), key
    method = "It was made for the method in lower case: sign it in upper case."
    yield attrs.evolve(signed, method=signed.method.lower()), method


def _timestamp(text: str, now: float) -> Check:
    if not text.isdigit():
        return Check("timestamp", False, "It must be Unix seconds, in digits only.")
    away = int(text) - now
    if away > 10**9:
        return Check("timestamp", False, "It is a time in milliseconds: divide it by 1000.")
    side = "ahead of" if away > 0 else "behind"
    detail = f"It is {abs(away):.0f} s {side} this server's clock, and the most is 300 s. A request that was pasted grows old."
    return Check("timestamp", -300 < away <= 300, detail)


# The API secret itself.


def _bearer(account: Account, value: str) -> Iterator[Check]:
    scheme, _, given = value.partition(" ")
    yield Check("scheme", scheme.lower() == "bearer", "Authorization must be: Bearer, a space, and the API secret.")
    given = given.strip()
    matches = any(hmac.compare_digest(given.encode(), secret.encode()) for secret in account.api_secrets)
    yield Check(
        "secret", matches, "It is an API secret of this account." if matches else "It is no API secret of this account."
    )
    allowed = account.signatures != "v2"
    words = (
        "The account accepts its API secret."
        if allowed
        else 'The account has signatures = "v2", so that it takes HMAC only.'
    )
    yield Check("signatures", allowed, words)
    yield Check("way", None, "The server takes it over TLS, from the loopback and through a Unix socket only.")


# Signed with MD5.


def _secure(account: Account, api_key: str, request: PastedRequest) -> Iterator[Check]:
    pairs = parse_qsl(request.body.strip("\n"), keep_blank_values=True)
    fields = dict(pairs)
    missing = [name for name in ("text", "secret", "secure") if name not in fields]
    detail = f"Missing in the body: {', '.join(missing)}." if missing else "text, secret and secure are there."
    yield Check("parameters", not missing, detail)
    if missing:
        return
    allowed = account.signatures == "any"
    words = (
        "The account accepts secure."
        if allowed
        else f'The account has signatures = "{account.signatures}": sign with HMAC.'
    )
    yield Check("signatures", allowed, words)
    sent_name = request.segments[2] if len(request.segments) > 2 else ""
    name = fields.get("identifier", sent_name)
    text = fields["text"]
    raw = dict(part.partition("=")[::2] for part in request.body.strip("\n").split("&")).get("text", text)

    def variants(secret: str) -> Iterator[Variant]:
        yield (
            "It was made for the identifier in lower case: sign it as it is sent.",
            secure(api_key, secret, name.lower(), text),
        )
        yield (
            "It was made for the identifier of the path: sign that of the body.",
            secure(api_key, secret, sent_name, text),
        )
        yield (
            "It was made for the urlencoded text: sign the text before it is urlencoded.",
            secure(api_key, secret, name, raw),
        )
        for end in ("\n", "\r\n"):
            yield "It was made for the text with a line end behind it.", secure(api_key, secret, name, text + end)
        yield "It was made for the text without the white space around it.", secure(api_key, secret, name, text.strip())
        plain = md5hex(api_key + secret + name + text)
        yield "The secret was not hashed: it is md5hex(apiKey + md5hex(apiSecret) + identifier + text).", plain
        yield "The text stands before the identifier.", md5hex(api_key + md5hex(secret) + text + name)
        for wrong, words in wrong_secrets(secret, api_key):
            yield words, secure(api_key, wrong, name, text)

    yield signature_check(
        "secure", fields["secure"], account, lambda secret: secure(api_key, secret, name, text), variants
    )


def _secure_key(account: Account, api_key: str, query: Mapping[str, str]) -> Check:
    sent = query.get("identifiers", "")
    names = ",".join(name.partition(":")[0] for name in sent.split(","))

    def variants(secret: str) -> Iterator[Variant]:
        yield "It was made with the internal ids: sign the identifiers alone.", secure_key(api_key, secret, sent)
        order = ",".join(sorted(names.split(",")))
        yield (
            "It was made for another order: sign the list in the order in which it is sent.",
            secure_key(api_key, secret, order),
        )
        yield (
            "It was made for the list in lower case: sign it as it is sent.",
            secure_key(api_key, secret, names.lower()),
        )
        spaced = names.replace(",", ", ")
        yield "It was made with a space behind each comma: join with commas alone.", secure_key(api_key, secret, spaced)
        yield (
            "It was made with md5hex of the secret: here the secret itself is signed.",
            secure_key(api_key, md5hex(secret), names),
        )
        for name in names.split(","):
            yield (
                f"It was made for {name} alone: it must be made for the whole list.",
                secure_key(api_key, secret, name),
            )
        for wrong, words in wrong_secrets(secret, api_key):
            yield words, secure_key(api_key, wrong, names)

    return signature_check(
        "secureKey", query["secureKey"], account, lambda secret: secure_key(api_key, secret, names), variants
    )
