"""The JavaScript that slides and formulas need: fetched by npm once, checked against web/npm.json, never committed."""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from course_lib import ROOT

WEB = Path(__file__).parent / "web"
CACHE = ROOT / "build" / "npm"
LOCK = json.loads((WEB / "npm.json").read_text(encoding="utf-8"))


class MissingTool(RuntimeError):
    """npm or node is not on this machine, or npm could not fetch: one line that says what to do."""


def tool(name: str) -> str:
    """The path of npm or node."""
    path = shutil.which(name)
    if path is None:
        raise MissingTool(
            f"{name} is needed for slides and the site, and is not on the PATH: install Node.js 18 or newer"
        )
    return path


def package(name: str) -> Path:
    """The folder of an unpacked package. Fetches it the first time; raises ValueError where its bytes are not ours."""
    version, integrity = LOCK[name]["version"], LOCK[name]["integrity"]
    folder = CACHE / f"{name}-{version}"
    if folder.exists():
        return folder
    npm = tool("npm")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as fresh:
        command = [
            npm,
            "pack",
            f"{name}@{version}",
            "--ignore-scripts",
            "--loglevel=error",
            "--pack-destination",
            fresh,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        archives = list(Path(fresh).glob("*.tgz"))
        if done.returncode or not archives:
            why = " ".join(done.stderr.split())[:300]
            raise MissingTool(f"npm could not fetch {name} {version}; a network is needed once. npm says: {why}")
        verify(archives[0], integrity)
        with tarfile.open(archives[0]) as archive:
            archive.extractall(fresh, filter="data")
        if not folder.exists():  # or another build was quicker
            (Path(fresh) / "package").rename(folder)
    return folder


def verify(archive: Path, integrity: str) -> None:
    """Raises ValueError unless the archive has the SHA-512 of the lock, in npm's spelling."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != integrity:
        raise ValueError(
            f"{archive.name}: got {found}, wanted {integrity} as in {WEB.name}/npm.json; nothing was unpacked"
        )
