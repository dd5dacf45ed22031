"""The English of the sources is counted, and the counts can only fall."""

from pathlib import Path

import pytest

from tests.style.english import PHRASES, QUESTION_WORDS, first_word, python_prose, typescript_prose

ROOT = Path(__file__).parents[2]


def python_files(folder):
    """The sources of a folder. What is installed or built stands in hidden folders, such as bench/.build."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)]


FOLDERS = {
    "cometify": lambda: [(path, python_prose(path)) for path in python_files("cometify")],
    "bench": lambda: [(path, python_prose(path)) for path in python_files("bench")],
    "tests": lambda: [(path, python_prose(path)) for path in python_files("tests")],
    "js": lambda: [(path, typescript_prose(path)) for path in sorted((ROOT / "js" / "src").glob("*.ts"))],
}
MOST_QUESTIONS = 0.03
"""Share of docstrings and comments that may begin with a question word."""
PHRASE_LIMITS = {"cometify": 0, "bench": 0, "js": 0, "tests": 0}
"""Phrases that are still in a folder. Lower a number when the count falls; it never rises."""


def pieces(folder):
    found = [(path, line, text) for path, prose in FOLDERS[folder]() for line, text in prose]
    assert len(found) > 40, "the folder has moved, and nothing was read"
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_few_pieces_of_prose_begin_with_a_question_word(folder):
    found = pieces(folder)
    asking = [f"{path}:{line}: {text[:70]}" for path, line, text in found if first_word(text) in QUESTION_WORDS]
    assert len(asking) <= MOST_QUESTIONS * len(found), "\n".join(asking)


@pytest.mark.parametrize("folder", FOLDERS)
def test_phrases_that_are_read_twice_only_become_fewer(folder):
    found = [
        f"{path}:{line}: {name}: {text[max(0, match.start() - 30) : match.end() + 20]}"
        for path, line, text in pieces(folder)
        for name, phrase in PHRASES.items()
        for match in phrase.finditer(text)
    ]
    assert len(found) <= PHRASE_LIMITS[folder], "\n".join(found)
    assert len(found) == PHRASE_LIMITS[folder], f"fewer than allowed: set the limit of {folder} to {len(found)}"


def test_each_fault_of_style_is_found(tmp_path):
    source = (
        '"""What is here."""\nX = 1\n"""As it was."""\n'
        "# Who comes, for it is late,\n# is no guest any more.\ny = 2  # begun anew\n"
    )
    path = tmp_path / "sample.py"
    path.write_text(source)
    found = [text for _line, text in python_prose(path)]
    assert [first_word(text) for text in found] == ["what", "as", "who", "begun"]
    names = {name for text in found for name, phrase in PHRASES.items() if phrase.search(text)}
    assert names == {"for, meaning because", "is no", "anew"}
    script = tmp_path / "sample.ts"
    script.write_text("/** How it goes. */\nconst a = 1; // where it stands\n// So that\n// it ends.\n")
    assert [first_word(text) for _line, text in typescript_prose(script)] == ["how", "where", "so"]
