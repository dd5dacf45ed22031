"""Work in steps, each short enough for a turn of the event loop.

A generator that yields between its steps does the work, and returns the result. Its caller decides how many steps to take now.
"""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""Work that yields between its steps. A step takes a fraction of a millisecond, unless its item is long."""
