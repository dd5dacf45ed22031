"""The system check: `manage.py check` tells what is wrong with the settings before a push fails."""

from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from .conf import configuration

HINT = 'Set COMETIFY_URL = "https://KEY:SECRET@push.example.org", in the settings or in the environment.'


@register
def check_settings(**_options: Any) -> list[CheckMessage]:
    """Report settings that cannot be used."""
    try:
        configuration()
    except ImproperlyConfigured as error:
        return [Error(str(error), hint=HINT, id="cometify.E001")]
    return []
