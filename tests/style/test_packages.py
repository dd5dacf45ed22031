"""The list of packages in setup.cfg is whole. A checkout works without it, but the wheel has only the packages of the list."""

import configparser
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_setup_names_every_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = {name for name in setup["options"]["packages"].split() if name.startswith("cometify")}
    modules = (ROOT / "cometify").rglob("*.py")
    assert named == {".".join(module.parent.relative_to(ROOT).parts) for module in modules}
