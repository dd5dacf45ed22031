"""Django's reports of errors: the page that DEBUG shows, and the mails to ADMINS. Both list the settings.

Django hides settings whose names have words such as SECRET. The URL of the account has the API secret, and no such word.
"""

import re

from django.views.debug import SafeExceptionReporterFilter

_NAMES = "COMETIFY"


def hide_settings() -> None:
    """Hide the settings of this app in all reports. They are hidden in the environment too, which some reports show."""
    hidden = SafeExceptionReporterFilter.hidden_settings
    if _NAMES not in hidden.pattern:
        SafeExceptionReporterFilter.hidden_settings = re.compile(f"{hidden.pattern}|{_NAMES}", hidden.flags)
