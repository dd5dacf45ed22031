"""Profiles of Hypothesis. HYPOTHESIS_PROFILE=long is for a night, or for a change to ring, view, listener or fan-out."""

import os

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.internal.constants_ast import Constants

# Hypothesis draws constants that it finds in the source of all imported modules. With them, the examples of a test depend on
# the tests that run beside it and on the place of the package, so that a test can pass alone and fail with the others. There
# is no setting to turn that off, so the set of found constants is replaced by an empty one. test_examples.py fails when this
# no longer has an effect. Constants that matter are named in the strategies.
HypothesisProvider._local_constants = Constants()

# No profile looks at the time that drawing takes, because other tests share the processors.
SLOW = [HealthCheck.too_slow]

# The short runs draw the same examples each time, so that a test turns red at the change that broke it. The long run draws new
# ones each time.
settings.register_profile("short", deadline=None, derandomize=True, max_examples=100, suppress_health_check=SLOW)
settings.register_profile("shrink", settings.get_profile("short"))
settings.register_profile("long", deadline=None, max_examples=3000, print_blob=True, suppress_health_check=SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))
