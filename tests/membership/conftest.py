"""The steps of this room are patient as well. See tests/delivery/conftest.py."""

from tests.delivery.conftest import patient_steps

__all__ = ["patient_steps"]
