"""The packages of a release: one version, links that work elsewhere, contents that are listed, and the same bytes each time."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from configparser import ConfigParser
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

import cometify

ROOT = Path(__file__).parents[2]
ADDRESS = "https://example.org/owner/name"
MOMENT = 1_700_000_000
CHART = "deploy/helm/cometify/Chart.yaml"
FILES = ("README.md", "pyproject.toml", "setup.cfg", "js/package.json", "js/package-lock.json", "js/README.md", CHART)


@pytest.fixture
def project(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts" / "release")
    import project

    return project


@pytest.fixture
def artifacts(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts" / "release")
    import artifacts

    return artifacts


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the files that a release reads or fills in, and of the documents that they link to."""
    monkeypatch.delenv("COMETIFY_REPOSITORY", raising=False)
    shutil.copytree(ROOT / "sdk", tmp_path / "sdk", ignore=shutil.ignore_patterns("src", "build", "*.egg-info"))
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "cometify").mkdir()
    shutil.copy(cometify.__file__, tmp_path / "cometify")
    return tmp_path


def replace(file, old, new):
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")


def test_all_packages_have_the_same_version(project, copy):
    assert project.version_of(copy) == cometify.__version__
    assert len(project.other_versions(copy)) == 6
    setup = ConfigParser()
    setup.read(copy / "setup.cfg")
    assert setup["metadata"]["version"] == "attr: cometify.__version__"
    assert tomllib.loads((copy / "sdk/python/pyproject.toml").read_text())["project"]["dynamic"] == ["version"]
    assert "version" not in json.loads((copy / "sdk/php/composer.json").read_text())


@pytest.mark.parametrize("name", ["js/package.json", "js/package-lock.json", "sdk/node/package.json"])
def test_package_of_another_version_is_named(project, copy, name):
    replace(copy / name, f'"version": "{cometify.__version__}"', '"version": "9.9.9"')
    with pytest.raises(project.NotReady, match=rf"{name} has 9\.9\.9: make them equal"):
        project.version_of(copy)


def test_variable_names_the_repository_before_the_file(project, copy, monkeypatch):
    replace(copy / "pyproject.toml", 'repository = ""', 'repository = "https://example.org/another/name"')
    monkeypatch.setenv("COMETIFY_REPOSITORY", ADDRESS)
    assert project.repository_of(copy) == ADDRESS
    monkeypatch.setenv("COMETIFY_REPOSITORY", "owner/name")
    with pytest.raises(project.NotReady, match='COMETIFY_REPOSITORY must be like "https://'):
        project.repository_of(copy)


def test_picture_of_a_readme_leads_to_the_file_itself(project, copy):
    page = copy / "README.md"
    picture = "![A picture](docs/benchmark.svg)"
    absolute = f"![A picture]({ADDRESS}/raw/v1.2.3/docs/benchmark.svg)"
    assert project.with_links(picture, copy, page, "1.2.3", ADDRESS) == absolute
    assert project.with_links(picture, copy, page, "1.2.3", "") == "A picture"


@pytest.mark.parametrize("key", ["version", "appVersion"])
def test_chart_of_another_version_is_named(project, copy, key):
    quoted = f'"{cometify.__version__}"' if key == "appVersion" else cometify.__version__
    replace(copy / CHART, f"\n{key}: {quoted}", f"\n{key}: 9.9.9")
    with pytest.raises(project.NotReady, match=rf"Chart.yaml \({key}\) has 9\.9\.9: make them equal"):
        project.version_of(copy)


def test_address_that_is_none_is_refused(project, copy):
    assert project.repository_of(copy) == ""
    replace(copy / "pyproject.toml", 'repository = ""', f'repository = "{ADDRESS}"')
    assert project.repository_of(copy) == ADDRESS
    replace(copy / "pyproject.toml", ADDRESS, "example.org")
    with pytest.raises(project.NotReady, match=r'must be like "https://.*", and not "example\.org"'):
        project.repository_of(copy)


def relative_links(text):
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"https?:|#", target)]


def test_readmes_of_registries_have_absolute_links(project, copy):
    assert relative_links((copy / "README.md").read_text("utf-8"))
    (copy / "SECURITY.md").touch()
    (copy / "bench").mkdir()
    for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "bench/README.md"):
        (copy / name).touch()
    project.fill_in(copy, "1.2.3", ADDRESS)
    for name in project.READMES:
        assert relative_links((copy / name).read_text("utf-8")) == [], name
    readme = (copy / "README.md").read_text("utf-8")
    assert f"[docs/pushing.md]({ADDRESS}/blob/v1.2.3/docs/pushing.md)" in readme
    assert f"[docs/decisions]({ADDRESS}/tree/v1.2.3/docs/decisions)" in readme
    assert f"]({ADDRESS}/raw/v1.2.3/docs/page.png)" in readme
    assert f"[Cometify]({ADDRESS}/blob/v1.2.3/README.md)" in (copy / "sdk/php/README.md").read_text("utf-8")


def test_link_becomes_a_name_without_an_address(project, copy):
    project.fill_in(copy, "1.2.3", "")
    readme = (copy / "README.md").read_text("utf-8")
    assert "| send pushes from a back end | docs/pushing.md, with libraries" in readme
    assert "gets each later change at least once (`docs/page-load.md`)" in readme
    assert "through a Cometify server" in (copy / "sdk/php/README.md").read_text("utf-8")


def test_each_package_names_the_repository(project, copy):
    project.fill_in(copy, "1.2.3", ADDRESS)
    setup = ConfigParser()
    setup.read(copy / "setup.cfg")
    names = [line.partition(" = ")[0] for line in setup["metadata"]["project_urls"].strip().splitlines()]
    client = tomllib.loads((copy / "sdk/python/pyproject.toml").read_text("utf-8"))["project"]["urls"]
    assert names == list(client) == ["Homepage", "Documentation", "Changelog", "Issues", "Security"]
    for name in project.NPM_PACKAGES:
        package = json.loads((copy / name / "package.json").read_text("utf-8"))
        assert package["repository"] == {"type": "git", "url": f"git+{ADDRESS}.git", "directory": name}
    composer = json.loads((copy / "sdk/php/composer.json").read_text("utf-8"))
    assert (composer["homepage"], composer["version"]) == (ADDRESS, "1.2.3")


def test_no_package_names_a_repository_that_is_not_set(project, copy):
    before = {
        name: (copy / name).read_bytes() for name in ("setup.cfg", "sdk/python/pyproject.toml", "js/package.json")
    }
    project.fill_in(copy, "1.2.3", "")
    assert {name: (copy / name).read_bytes() for name in before} == before
    assert "homepage" not in json.loads((copy / "sdk/php/composer.json").read_text("utf-8"))


def test_php_zip_holds_the_library_and_its_version(artifacts, project, copy):
    project.fill_in(copy, "1.2.3", "")
    first, second = copy / "cometify-php-1.2.3.zip", copy / "second.zip"
    artifacts.zip_php(copy / "sdk/php", first, MOMENT)
    for file in (copy / "sdk/php").rglob("*"):
        file.touch()
    artifacts.zip_php(copy / "sdk/php", second, MOMENT)
    assert first.read_bytes() == second.read_bytes()
    with ZipFile(first) as archive:
        names = set(archive.namelist())
        composer = json.loads(archive.read("composer.json"))
    assert composer["version"] == "1.2.3"
    assert {*composer["autoload"]["classmap"], "LICENSE", "README.md"} < names
    assert {f"laravel/{file.name}" for file in (ROOT / "sdk/php/laravel").iterdir()} < names


def test_npm_package_lists_each_module_it_imports():
    package = json.loads((ROOT / "sdk/node/package.json").read_text("utf-8"))
    modules = {path.name for pattern in package["files"] for path in (ROOT / "sdk/node").glob(pattern)}
    imported = {
        name
        for path in (ROOT / "sdk/node").glob("*.*s")
        for name in re.findall(r"""from ['"]\./([\w.]+)['"]""", path.read_text("utf-8"))
    }
    assert len(imported) > 2
    assert imported <= modules


def tar(file, names, mtime=1, mode=0o664):
    with tarfile.open(file, "w:gz") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode, entry.uname = len(name), mtime, mode, "somebody"
            archive.addfile(entry, BytesIO(name.encode()))
    return file


def test_source_distribution_of_another_build_is_the_same(artifacts, tmp_path):
    first = tar(tmp_path / "first.tar.gz", ["p/b.py", "p/a.py"])
    second = tar(tmp_path / "second.tar.gz", ["p/a.py", "p/b.py"], mtime=2, mode=0o644)
    assert first.read_bytes() != second.read_bytes()
    for archive in (first, second):
        artifacts.settle(archive, MOMENT)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        assert [(e.name, e.mtime, e.mode, e.uname) for e in archive] == [(f"p/{n}.py", MOMENT, 0o644, "") for n in "ab"]
        assert archive.extractfile("p/b.py").read() == b"p/b.py"


@pytest.fixture
def folder(artifacts, tmp_path):
    """A folder with all files of a release, each with the names that it needs and nothing else."""
    for name, (_allowed, needed) in artifacts.EXPECTED.items():
        file, names = tmp_path / name.format(version="1.2.3"), [one.format(version="1.2.3") for one in needed]
        if file.suffix in {".whl", ".zip"}:
            with ZipFile(file, "w") as archive:
                for one in names:
                    archive.writestr(one, one)
        elif file.suffix == ".json":
            file.write_text("{}")
        else:
            tar(file, names)
    return tmp_path


def test_release_with_all_files_is_whole(artifacts, folder):
    assert artifacts.faults(folder, "1.2.3") == []


@pytest.mark.parametrize(
    "name",
    [
        "cometify.toml",
        "tests/test_smoke.py",
        "cometify/__pycache__/a.pyc",
        "cometify/key.pem",
        "package/node_modules/a.js",
    ],
)
def test_file_that_no_package_may_hold_is_found(artifacts, folder, name):
    wheel, tarball = folder / "cometify-1.2.3-py3-none-any.whl", folder / "cometify-1.2.3.tgz"
    with ZipFile(wheel, "a") as archive:
        archive.writestr(name, "")
    tar(tarball, [*artifacts.names_in(tarball), name])
    assert artifacts.faults(folder, "1.2.3") == [
        f"{wheel.name} must not hold {name}",
        f"{tarball.name} must not hold {name}",
    ]


def test_file_that_is_missing_or_too_many_is_found(artifacts, folder):
    tar(folder / "cometify-1.2.3.tgz", ["package/package.json", "package/LICENSE", "package/dist/cometify.d.ts"])
    (folder / "cometify-1.2.3.cdx.json").rename(folder / "notes.txt")
    assert artifacts.faults(folder, "1.2.3") == [
        "cometify-1.2.3.cdx.json is missing",
        "notes.txt is not expected",
        "cometify-1.2.3.tgz lacks package/dist/cometify.mjs",
        "cometify-1.2.3.tgz lacks package/dist/cometify.min.js",
    ]


def test_checksums_are_those_that_sha256sum_checks(artifacts, folder):
    artifacts.write_checksums(folder, folder.iterdir())
    check = ["sha256sum", "--check", "--strict", artifacts.CHECKSUMS]
    done = subprocess.run(check, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count(": OK")) == (0, len(artifacts.EXPECTED))
    (folder / "cometify-1.2.3.cdx.json").write_text("[]")
    assert subprocess.run(check, cwd=folder, capture_output=True, check=False).returncode == 1


def test_uncommitted_change_is_not_released(copy):
    shutil.copytree(ROOT / "scripts" / "release", copy / "scripts" / "release")
    subprocess.run(["git", "init", "--quiet"], cwd=copy, check=True)
    command = [sys.executable, "scripts/release"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("make release: There are changes that are not committed: commit them")
