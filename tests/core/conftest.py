"""How long Hypothesis looks. HYPOTHESIS_PROFILE=long is for a night, or for a change to ring, view, listener or sweep."""

import os

from hypothesis import HealthCheck, settings

# The same examples each time, so that a red test is told to who made the change; the long run looks further each time.
settings.register_profile("short", deadline=None, derandomize=True, max_examples=100)
settings.register_profile("shrink", settings.get_profile("short"))
settings.register_profile(
    "long", deadline=None, max_examples=3000, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))
