"""The same examples, alone and with the other tests."""

import tests.core.conftest  # noqa: F401 - what Hypothesis draws from
