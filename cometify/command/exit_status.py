"""The exit statuses of all commands. docs/command.md has the same table for users."""

FAILED = 1
"""The command could not do its work, or `doctor` found a fault. click uses the same number for `ClickException`."""
REFUSED = 3
"""The server refused the request, and would refuse it again: the key, the token or the channels must change."""
UNREACHABLE = 4
"""No server answered at this URL, or it asked for a later try. Nothing was pushed."""
MAYBE_PUSHED = 5
"""The push may have been made. It is safe to repeat it with the same Idempotency-Key."""
