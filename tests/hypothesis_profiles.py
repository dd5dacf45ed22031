"""Profiles of Hypothesis. HYPOTHESIS_PROFILE=long is for a night, or for a change to ring, view, listener or fan-out."""

import os

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.internal.constants_ast import Constants

# Hypothesis draws constants that it finds in the source of whatever is imported: with them the examples of a test hang on
# which other tests are run beside it, and on where the package is imported from, and it passes alone and fails with the
# others. There is no setting for it, so what it has found is always nothing; test_examples.py tells when this has no effect
# any more. Constants that matter are named in the strategies.
HypothesisProvider._local_constants = Constants()

# The same examples each time, so that a red test is told to who made the change; the long run looks further each time.
settings.register_profile("short", deadline=None, derandomize=True, max_examples=100)
settings.register_profile("shrink", settings.get_profile("short"))
settings.register_profile(
    "long", deadline=None, max_examples=3000, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))
