"""The facts about the project that all packages share: one version, and the address of the repository if it is known.

The version is `cometify.__version__`. The address is the variable COMETIFY_REPOSITORY, which the workflow sets. Without
it, the address is `tool.cometify.repository` in pyproject.toml. The files of the repository name no address. A release fills it
into copies of them.
"""

import json
import os
import re
import tomllib
from pathlib import Path

READMES = ("README.md", "sdk/python/README.md", "sdk/node/README.md", "sdk/php/README.md", "js/README.md")
"""The pages that a registry of packages shows."""
NPM_PACKAGES = ("js", "sdk/node")
CHART = "deploy/helm/cometify/Chart.yaml"
UNKNOWN_ADDRESS = (
    "The address of the repository is not set: the packages have no project URLs, and their READMEs have no links. "
    "To add them, set COMETIFY_REPOSITORY, or fill in `repository` under [tool.cometify] in pyproject.toml and commit it."
)
VARIABLE = "COMETIFY_REPOSITORY"
_VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_IN_CHART = re.compile(r'^(version|appVersion): "?([^"\n]+)"?$', re.MULTILINE)
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]\n]*)\]\((?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")


class NotReady(Exception):
    """The repository cannot be released. The message is one line that says what to do."""


def version_of(root: Path) -> str:
    """Return the version that all packages have. Raises `NotReady` if they differ."""
    match = _VERSION.search((root / "cometify" / "__init__.py").read_text("utf-8"))
    if match is None:
        raise NotReady("cometify/__init__.py has no __version__: write it there.")
    differ = [f"{file} has {found}" for file, found in other_versions(root).items() if found != match[1]]
    if differ:
        raise NotReady(f"cometify/__init__.py has the version {match[1]}, but {', '.join(differ)}: make them equal.")
    return match[1]


def other_versions(root: Path) -> dict[str, str]:
    """Return the version in each file of npm and Helm that holds one. The other packages read `cometify.__version__`."""
    lock = json.loads((root / "js" / "package-lock.json").read_text("utf-8"))
    found = {f"{name}/package.json": _read(root / name / "package.json")["version"] for name in NPM_PACKAGES}
    return found | {
        "js/package-lock.json": lock["version"],
        "js/package-lock.json (packages)": lock["packages"][""]["version"],
        **{f"{CHART} ({key})": found for key, found in _IN_CHART.findall((root / CHART).read_text("utf-8"))},
    }


def repository_of(root: Path) -> str:
    """Return the address of the repository, or "" if it is not filled in. Raises `NotReady` if it is no address.

    The variable comes first, because npm refuses a package that names another repository than the one that publishes it.
    """
    place, address = VARIABLE, os.environ.get(VARIABLE, "")
    if not address:
        table = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["cometify"]
        place, address = "pyproject.toml: repository", str(table["repository"])
    if address and not re.fullmatch(r"https://[^\s/]+(/[^\s/]+)+", address):
        raise NotReady(f'{place} must be like "https://github.com/OWNER/NAME", and not "{address}".')
    return address


def fill_in(root: Path, version: str, repository: str) -> None:
    """Write what each registry needs into the copy `root` of the repository: links, URLs, and the version for Composer."""
    for name in READMES:
        page = root / name
        page.write_text(with_links(page.read_text("utf-8"), root, page, version, repository), "utf-8")
    composer = _read(root / "sdk/php/composer.json") | {"version": version}
    if repository:
        composer |= {"homepage": repository, "support": {"source": repository, "issues": f"{repository}/issues"}}
        _fill_in_python(root, repository)
        for name in NPM_PACKAGES:
            source = {"type": "git", "url": f"git+{repository}.git", "directory": name}
            issues = {"url": f"{repository}/issues"}
            package = _read(root / name / "package.json")
            _write(
                root / name / "package.json", package | {"homepage": repository, "repository": source, "bugs": issues}
            )
    _write(root / "sdk/php/composer.json", composer)


def _fill_in_python(root: Path, repository: str) -> None:
    page = f"{repository}/blob/main"
    urls = {
        "Homepage": repository,
        "Documentation": f"{page}/docs/README.md",
        "Changelog": f"{page}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
        "Security": f"{page}/SECURITY.md",
    }
    server, client = root / "setup.cfg", root / "sdk/python/pyproject.toml"
    lines = "".join(f"    {name} = {url}\n" for name, url in urls.items())
    server.write_text(
        server.read_text("utf-8").replace("[metadata]\n", f"[metadata]\nproject_urls =\n{lines}", 1), "utf-8"
    )
    table = "".join(f'{name} = "{url}"\n' for name, url in urls.items())
    client.write_text(f"{client.read_text('utf-8')}\n[project.urls]\n{table}", "utf-8")


def with_links(text: str, root: Path, page: Path, version: str, repository: str) -> str:
    """Return the text of a page with absolute links, because a registry has none of the other files.

    If the address of the repository is not known, a link to a file becomes the name of the file, and a picture its description.
    """

    def link(match: re.Match[str]) -> str:
        file = Path(os.path.normpath(page.parent / match["path"]))
        if not file.exists() or not file.is_relative_to(root):
            return match[0]
        name = file.relative_to(root).as_posix()
        if repository:
            # GitHub answers for `blob` with a page around the file, and for `raw` with the file.
            kind = "raw" if match["image"] else "tree" if file.is_dir() else "blob"
            return f"{match['image']}[{match['text']}]({repository}/{kind}/v{version}/{name}{match['anchor'] or ''})"
        if match["image"]:
            return match["text"]
        return match["text"] if name in {match["text"], "README.md"} else f"{match['text']} (`{name}`)"

    return _LINK.sub(link, text)


def _read(file: Path) -> dict[str, object]:
    return dict(json.loads(file.read_text("utf-8")))


def _write(file: Path, table: dict[str, object]) -> None:
    file.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", "utf-8")
