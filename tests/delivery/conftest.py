"""Steps of work end by their number alone here, so that a busy machine makes no difference."""

from math import inf

import pytest

from cometify.runtime import slices


@pytest.fixture(autouse=True)
def patient_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "LONGEST", inf)
