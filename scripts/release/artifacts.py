"""The files of a release: archives that the same commit always makes with the same bytes, their contents, and checksums."""

import gzip
import hashlib
import re
import tarfile
import time
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

CHECKSUMS = "SHA256SUMS"
PHP_FILES = ("Cometify.php", "LICENSE", "README.md", "composer.json", "laravel")
EXPECTED: dict[str, tuple[str, tuple[str, ...]]] = {
    "cometify-{version}-py3-none-any.whl": (
        r"cometify/.+|twisted/plugins/cometify_plugin\.py|cometify-{version}\.dist-info/.+",
        (
            "cometify/__init__.py",
            "cometify/py.typed",
            "cometify/engine/redis/lua/append.lua",
            "cometify/static/cometify.min.js",
            "cometify/static/docs.zip",
            "cometify/static/openapi.json",
            "twisted/plugins/cometify_plugin.py",
            "cometify-{version}.dist-info/licenses/LICENSE",
        ),
    ),
    "cometify-{version}.tar.gz": (
        r"cometify-{version}/(?:(?:cometify|twisted|cometify\.egg-info)/.+|[A-Z]+(?:\.md|\.in)?|PKG-INFO|pyproject\.toml|setup\.cfg)",
        ("cometify-{version}/cometify/static/docs.zip", "cometify-{version}/LICENSE", "cometify-{version}/PKG-INFO"),
    ),
    "cometify_client-{version}-py3-none-any.whl": (
        r"cometify_client/(?:(?:[a-z]+/)*\w+\.py|py\.typed|static/cometify\.min\.js)|cometify_client-{version}\.dist-info/.+",
        (
            "cometify_client/__init__.py",
            "cometify_client/django/migrations/0001_outbox.py",
            "cometify_client/django/templatetags/cometify.py",
            "cometify_client/static/cometify.min.js",
            "cometify_client/py.typed",
            "cometify_client-{version}.dist-info/licenses/LICENSE",
        ),
    ),
    "cometify_client-{version}.tar.gz": (
        r"cometify_client-{version}/(?:src/.+|[A-Z]+\.md|LICENSE|MANIFEST\.in|PKG-INFO|pyproject\.toml|setup\.(?:cfg|py))",
        ("cometify_client-{version}/src/cometify_client/__init__.py", "cometify_client-{version}/src/VERSION"),
    ),
    "cometify-{version}.tgz": (
        r"package/(?:dist|src)/.+|package/(?:package\.json|README\.md|LICENSE)",
        ("package/dist/cometify.mjs", "package/dist/cometify.d.ts", "package/dist/cometify.min.js", "package/LICENSE"),
    ),
    "cometify-node-{version}.tgz": (
        r"package/(?:[a-z]+\.js|index\.d\.ts|package\.json|README\.md|LICENSE)",
        ("package/index.js", "package/index.d.ts", "package/package.json", "package/LICENSE"),
    ),
    "cometify-php-{version}.zip": (
        r"Cometify\.php|laravel/\w+\.php|composer\.json|README\.md|LICENSE",
        ("Cometify.php", "composer.json", "laravel/CometifyServiceProvider.php", "LICENSE"),
    ),
    "cometify-{version}.cdx.json": ("", ()),
}
"""The files of a release. An archive may hold only names that the expression matches, and must hold the names after it."""
_NEVER = re.compile(r"(?:^|/)(?:__pycache__|node_modules|\.git|\.cache)(?:/|$)|\.(?:pyc|toml\.bak|log|pem|key|env)$")


def zip_php(package: Path, to: Path, moment: int) -> None:
    """Pack the library for PHP, for Composer and for those who unpack it beside their own files."""
    files = [file for name in PHP_FILES for file in ([package / name, *sorted((package / name).rglob("*"))])]
    with ZipFile(to, "w") as archive:
        for file in sorted(file for file in files if file.is_file()):
            entry = ZipInfo(file.relative_to(package).as_posix(), time.gmtime(moment)[:6])
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, file.read_bytes(), compresslevel=9)


def settle(archive: Path, moment: int) -> None:
    """Write a .tar.gz again without what differs from build to build: times, owners, and the order of the names."""
    with tarfile.open(archive) as source:
        found = [(entry, source.extractfile(entry)) for entry in source.getmembers() if entry.isfile()]
        contents = sorted((entry.name, entry.mode, file.read()) for entry, file in found if file is not None)
    packed = BytesIO()
    with (
        gzip.GzipFile("", "wb", 9, packed, moment) as stream,
        tarfile.open(None, "w", stream, format=tarfile.PAX_FORMAT) as to,
    ):
        for name, mode, content in contents:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), moment, 0o755 if mode & 0o100 else 0o644
            to.addfile(entry, BytesIO(content))
    archive.write_bytes(packed.getvalue())


def names_in(archive: Path) -> list[str]:
    """List the files of an archive of any kind."""
    if archive.suffix in {".whl", ".zip"}:
        with ZipFile(archive) as packed:
            return sorted(name for name in packed.namelist() if not name.endswith("/"))
    with tarfile.open(archive) as packed:
        return sorted(entry.name for entry in packed.getmembers() if not entry.isdir())


def faults(folder: Path, version: str) -> list[str]:
    """List the files of a release that are missing or not expected, and those in its archives."""
    expected = {name.format(version=version): rule for name, rule in EXPECTED.items()}
    present = {file.name for file in folder.iterdir()} - {CHECKSUMS}
    found = [f"{name} is missing" for name in sorted(expected.keys() - present)]
    found += [f"{name} is not expected" for name in sorted(present - expected.keys())]
    for name in sorted(expected.keys() & present):
        allowed, needed = expected[name]
        if allowed:
            names = names_in(folder / name)
            allowed = allowed.replace("{version}", re.escape(version))
            found += [f"{name} lacks {one}" for one in (n.format(version=version) for n in needed) if one not in names]
            found += [
                f"{name} must not hold {one}" for one in names if not re.fullmatch(allowed, one) or _NEVER.search(one)
            ]
    return found


def write_checksums(folder: Path, files: Iterable[Path]) -> None:
    """Write the SHA-256 of each file in the form that `sha256sum --check` reads."""
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(files)]
    (folder / CHECKSUMS).write_text("".join(lines), "utf-8")
