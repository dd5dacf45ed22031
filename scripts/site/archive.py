"""The site as one file, which a wheel holds and a server reads when it starts."""

import os
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_LEFT_OUT = {".map", ".buildinfo"}


def pack(site: Path, to: Path) -> int:
    """Pack the folder `site` into the ZIP file `to`. Return its size. The same folder always makes the same bytes."""
    part = to.with_suffix(f".{os.getpid()}.part")  # several processes of the tests may build at once
    with ZipFile(part, "w") as archive:
        for file in sorted(site.rglob("*")):
            if file.is_file() and file.suffix not in _LEFT_OUT and file.name not in _LEFT_OUT:
                entry = ZipInfo(file.relative_to(site).as_posix())
                entry.compress_type = ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, file.read_bytes(), compresslevel=9)
    part.replace(to)
    return to.stat().st_size
