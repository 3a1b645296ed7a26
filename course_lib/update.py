"""Brings the newest version of the course, and keeps every answer and every cell of yours.

    python -m course_lib.update                        or `make update`: in a clone of the course's repository
    python -m course_lib.update --answers FOLDER       without git: in the new course, with your old `lessons` folder

Copies of your notebooks are put into `backups` first, and stay there. If it is stopped half-way, run it again.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from course_lib import ROOT
from course_lib.merging import as_file, merge

UNFINISHED = "unfinished.json"


class Stop(Exception):
    """Why nothing more can be done, for the learner to read."""


def update(root: Path = ROOT, say=print) -> list[str]:
    """Fetches, and merges the lessons that the learner has worked in; gives their names. Raises Stop, with reasons."""
    root = Path(root)
    _git(root, "rev-parse", "--git-dir", why="this folder is no clone of the course; see --answers")
    for folder in sorted((root / "backups").glob(f"*/{UNFINISHED}")):
        say(f"An earlier update was stopped; it is finished first ({folder.parent.name}).")
        _put_back(root, folder.parent, say)
    why = "the course's repository cannot be reached, or this branch follows none"
    _git(root, "fetch", "--quiet", why=why)
    old, new = (_git(root, "rev-parse", name, why=why).strip() for name in ("HEAD", "@{upstream}"))
    if _git(root, "merge-base", old, new).strip() == new:
        say("The course is up to date.")
        return []
    if _git(root, "merge-base", old, new).strip() != old:
        raise Stop("You have commits of your own, so git must merge. Your notebooks are untouched.\n" + DIVERGED)
    mine = _git(root, "diff", "--name-only", "-z", "HEAD", "--", "lessons/*.ipynb").split("\0")
    mine = [name for name in mine if name and (root / name).exists()]
    backup = _back_up(root, mine, old)
    if mine:
        _git(root, "checkout", "HEAD", "--", *mine)
    try:
        _git(root, "merge", "--ff-only", "--quiet", new, why="git cannot update the course's files")
    finally:
        _put_back(root, backup, say)
    say(f"The course is now at {_git(root, 'log', '-1', '--format=%h, %s').strip()}.")
    return mine


DIVERGED = (
    "Either undo them in git, or get the new version into another folder and run there:\n"
    "    python -m course_lib.update --answers " + os.path.join("THIS FOLDER", "lessons")
)


def _back_up(root: Path, names: list[str], commit: str) -> Path:
    """Copies of these files, and a note that says what is being done with them."""
    (root / "backups").mkdir(exist_ok=True)
    stamp = time.strftime("%Y-%m-%d_%H-%M-%S")
    folder = Path(tempfile.mkdtemp(prefix=f"{stamp}_", dir=root / "backups"))
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, folder / name)
    _write(folder / UNFINISHED, json.dumps({"names": names, "commit": commit}))
    return folder


def _put_back(root: Path, backup: Path, say) -> None:
    """Merges each copy with the version that is checked out now, and with the one that it came from."""
    journal = json.loads((backup / UNFINISHED).read_text(encoding="utf-8"))
    for name in journal["names"]:
        path, copy = root / name, backup / name
        mine = copy.read_bytes().decode("utf-8", "surrogateescape")
        old, new = _version(root, journal["commit"], name), _version(root, "HEAD", name)
        if path.exists() and (now := path.read_bytes()) not in (copy.read_bytes(), new and new.encode()):
            (backup / f"{name}.found").write_bytes(now)  # edited since the update was stopped
        try:
            merged = mine if new is None or old == new else as_file(merge(*map(json.loads, (mine, new, old or new))))
            _write(path, merged)
            say(f"Kept your work in {name}" + ("." if new else ", which the course no longer has."))
        except (ValueError, RecursionError) as error:
            _write(path, mine)
            say(f"{name} is left as it was, since it cannot be read: {error}")
    if journal["names"]:
        os.replace(backup / UNFINISHED, backup / "done.json")
    else:
        shutil.rmtree(backup)


def _version(root: Path, commit: str, name: str) -> str | None:
    done = subprocess.run(["git", "show", f"{commit}:{name}"], cwd=root, capture_output=True)
    return done.stdout.decode("utf-8") if done.returncode == 0 else None


def _git(root: Path, *arguments: str, why: str = "git could not do it") -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError:
        raise Stop("git is not installed; see --answers") from None
    if done.returncode:
        raise Stop(f"{why}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, prefix=f".{path.name}.", delete=False) as f:
        f.write(text.encode("utf-8", "surrogateescape"))
        f.flush()
        os.fsync(f.fileno())
    if path.exists():
        shutil.copymode(path, f.name)
    else:
        os.chmod(f.name, 0o644)
    os.replace(f.name, path)


def bring(answers: Path, root: Path = ROOT, say=print) -> list[str]:
    """Merges the notebooks in `answers`, an older `lessons` folder, into this course's. `answers` is not touched."""
    if not any(answers.glob("*.ipynb")):
        raise Stop(f"--answers: got {str(answers)!r}, wanted a folder with your notebooks")
    from course_lib.authoring.build import build, sources, write  # seconds, for its packages

    done = []
    for source in sources():
        theirs, path = answers / f"{source.stem}.ipynb", root / "lessons" / f"{source.stem}.ipynb"
        if not theirs.exists() or (path.exists() and theirs.samefile(path)):
            continue
        with tempfile.TemporaryDirectory() as folder:
            write(build(source), Path(folder, "new"))
            new = Path(folder, "new").read_text(encoding="utf-8")
        try:
            merged = as_file(merge(json.loads(theirs.read_text(encoding="utf-8")), json.loads(new)))
        except (ValueError, RecursionError) as error:
            say(f"{theirs} cannot be read: {error}")
            continue
        here = path.read_text(encoding="utf-8") if path.exists() else new
        if here == new and merged != new:
            _write(path, merged)
            say(f"Brought your work into {path.name}.")
            done.append(path.name)
        elif here not in (new, merged):
            say(f"{path.name} is left alone: somebody has worked in it. Move it away, and run this again.")
    return done


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m course_lib.update", description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=Path, metavar="FOLDER", help="your old `lessons` folder, without git")
    given = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        bring(given.answers) if given.answers else update()
    except Stop as stop:
        print(stop, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
