"""The app, for INSTALLED_APPS."""

from django.apps import AppConfig


class CometifyConfig(AppConfig):
    """`cometify.django`. Its label is `cometify`, so its tables and migrations have this name."""

    name = "cometify.django"
    label = "cometify"
    verbose_name = "Cometify"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system check, and hide the API secret in reports of errors."""
        from . import checks, reports  # noqa: F401, PLC0415 - the import registers the check, and Django must be ready

        reports.hide_settings()
