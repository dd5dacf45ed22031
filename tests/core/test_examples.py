"""The examples of Hypothesis are the same whichever tests run beside a test, so that it fails alone as it does among others."""

import importlib
import sys
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings


def drawn() -> list[int | str]:
    examples: list[int | str] = []

    @settings(derandomize=True, database=None, max_examples=300)
    @given(st.integers() | st.text())
    def draw(example: int | str) -> None:
        examples.append(example)

    draw()
    return examples


def test_examples_do_not_depend_on_other_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = drawn()
    (tmp_path / "imported_beside.py").write_text("NUMBER = 271_828_182_845\nTEXT = 'some text of its own'\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("imported_beside")
    try:
        assert drawn() == before
    finally:
        del sys.modules["imported_beside"]
