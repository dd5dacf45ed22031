"""Checks of the debugger "why is this refused?": each with its result and its reason.

The debugger tells an operator more than a refusal tells a caller: that the signature fits the older secret, or would fit with
another content type. It never repeats a secret, a token, a signature or a text, and nothing that it reads is logged or kept.
"""

from collections.abc import Callable, Iterable, Sequence

import attrs

from cometify.core.account import Account
from cometify.core.errors import Refused


@attrs.frozen
class Check:
    """`passed`: None if it could not be looked at. `detail`: the reason, or the remedy."""

    name: str
    passed: bool | None
    detail: str


def account_check(account: Account | None, api_key: str) -> Check:
    """The account of an API key."""
    if account is None:
        return Check("account", False, "No account has this API key. Compare it with the list of accounts.")
    if account.suspended:
        return Check("account", False, "The account is suspended, so all that it sends is refused: resume it.")
    return Check("account", True, f"There is an account {api_key}.")


def secret_name(account: Account, index: int) -> str:
    """The words for one of the secrets of an account."""
    if len(account.api_secrets) == 1:
        return "the API secret"
    return "the newer API secret" if index == 0 else "the older API secret, which is being replaced"


def outcome(name: str, judge: Callable[[], object], good: str) -> Check:
    """The result of the server's own code. `judge` raises `Refused`."""
    try:
        judge()
    except Refused as refused:
        return Check(name, False, f"{refused.code.name}: {refused.detail}")
    return Check(name, True, good)


Variant = tuple[str, str]
"""A change of what was sent, in words, and the value that would have been signed then."""


def signature_check(
    name: str, given: str, account: Account, sent: Callable[[str], str], variants: Callable[[str], Iterable[Variant]]
) -> Check:
    """Compare a signature with what each secret gives: for what was sent, and else for variants of it.

    `sent(secret)`: the signature that is expected. `variants(secret)`: those of frequent mistakes.
    """
    for index, secret in enumerate(account.api_secrets):
        if sent(secret) == given.lower():
            return Check(name, True, f"It was made with {secret_name(account, index)}.")
    for secret in account.api_secrets:
        for mistake, signature in variants(secret):
            if signature == given.lower():
                return Check(name, False, f"It does not match. {mistake}")
    return Check(
        name,
        False,
        "It does not match, and no frequent mistake explains it. The secret is probably another one: compare its first and "
        "last characters on both sides, and look for a line end behind it.",
    )


def wrong_secrets(secret: str, api_key: str) -> Sequence[tuple[str, str]]:
    """Texts that are taken for the secret by mistake, each with the words that tell it."""
    return (
        (f"{secret}\n", "It was made with a line end behind the secret: strip the secret when it is read from a file."),
        (f" {secret}", "It was made with a space before the secret: strip the secret."),
        (f"{secret} ", "It was made with a space behind the secret: strip the secret."),
        (f'"{secret}"', "It was made with quotation marks around the secret: remove them."),
        (api_key, "It was made with the API key: sign with the API secret."),
    )
