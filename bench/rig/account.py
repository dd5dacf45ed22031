"""The account that every server under measurement has."""

KEY = "bench"
SECRET = "benchsecret"  # noqa: S105 - it protects nothing
