"""Tags for a page that listens."""

from typing import Any

from django import template

from cometify.django.conf import configuration
from cometify.django.position import position_of
from cometify.integration.script import Markup, script_tag

register = template.Library()


@register.simple_tag
def cometify_script(pinned: bool | None = None, nonce: str | None = None) -> Markup:
    """Print the script tag of the browser client.

    `pinned`: False: the version that the server runs, without a hash. By default the setting PINNED. `nonce`: of the page's
    content security policy.
    """
    found = configuration()
    return script_tag(found.server, pinned=found.pinned if pinned is None else pinned, nonce=nonce)


@register.simple_tag(takes_context=True)
def cometify_position(context: dict[str, Any]) -> str:
    """Print the position that `with_position` took, for the option `since` of the browser client."""
    return str(position_of(context.get("request")))


@register.simple_tag
def cometify_api_key() -> str:
    """Print the API key, for the option `apiKey` of the browser client."""
    return configuration().client.api_key
