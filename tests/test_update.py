"""Updating: a new version of a lesson over a half-solved one, by cell id, also in a real git repository."""

import copy
import json
import os
import subprocess
import sys

import pytest

from course_lib import ROOT, update
from course_lib.authoring import build as builder
from course_lib.authoring.build import LESSONS, build, sources, write
from course_lib.merging import EXERCISE, OWN_TEXT, as_file, merge
from course_lib.update import Stop, bring

NAME = "04_gaussian_elbo.ipynb"
SOURCE = next(s for s in sources() if s.stem == "04_gaussian_elbo")
ANSWER = "def gaussian_kl(mu, log_var):\n    return 0 * mu.sum(-1)  # mine"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("built") / NAME
    write(build(SOURCE), path)
    return path


@pytest.fixture(scope="module")
def lesson(built) -> dict:
    return json.loads(built.read_text(encoding="utf-8"))


@pytest.fixture
def old(lesson) -> dict:
    return copy.deepcopy(lesson)


def cell(notebook: dict, id: str) -> dict:
    return next(c for c in notebook["cells"] if c["id"] == id)


def text(notebook: dict, id: str) -> str:
    return "".join(cell(notebook, id)["source"])


def ids(notebook: dict) -> list[str]:
    return [c["id"] for c in notebook["cells"]]


def put(notebook: dict, after: str, source: str, id: str = "my-cell", kind: str = "code") -> None:
    more = {"outputs": [], "execution_count": None} if kind == "code" else {}
    new = {"cell_type": kind, "id": id, "metadata": {}, "source": source.splitlines(keepends=True), **more}
    notebook["cells"].insert(ids(notebook).index(after) + 1, new)


def a_code_cell(notebook: dict, number: int = 3) -> str:
    """The id of some code cell that belongs to no exercise."""
    return [c["id"] for c in notebook["cells"] if c["cell_type"] == "code" and OWN_TEXT.match(c["id"])][number]


def half_solved(notebook: dict) -> dict:
    """04.1 answered and run, a play cell edited, a cell added behind the check, another at the very top."""
    mine = copy.deepcopy(notebook)
    cell(mine, "exercise-04-1").update(source=ANSWER.splitlines(keepends=True), execution_count=7)
    output = {"output_type": "stream", "name": "stdout", "text": ["hello\n"]}
    cell(mine, a_code_cell(mine)).update(source=["my_play = 1"], outputs=[output], execution_count=8)
    put(mine, "check-04-1", "gaussian_kl  # a look at it")
    mine["cells"].insert(0, {"cell_type": "markdown", "id": "top", "metadata": {}, "source": ["My notes"]})
    mine["metadata"]["language_info"] = {"name": "python"}
    return mine


def new_version(notebook: dict) -> dict:
    """One text changed (so its id is another), one cell gone, one added, one hint changed."""
    new = copy.deepcopy(notebook)
    texts = [c for c in new["cells"] if c["cell_type"] == "markdown" and OWN_TEXT.match(c["id"])]
    texts[2].update(source=["A better explanation"], id="04-0000aaaa")
    new["cells"].remove(cell(new, a_code_cell(new, 5)))
    put(new, "check-04-2", "1 + 1  # new in this version", id="04-0000bbbb")
    cell(new, "hints-04-1")["source"] = ["a better hint"]
    return new


def test_ids_tell_which_cells_of_a_lesson_were_edited(lesson, built):
    """No old version is needed for it: every built cell's id is made from its text."""
    assert merge(lesson, lesson) == lesson
    assert as_file(lesson) == as_file(merge(lesson, new_version(lesson)) and lesson)
    assert merge(lesson, new_version(lesson)) == new_version(lesson)
    assert as_file(lesson).encode() == built.read_bytes()


@pytest.mark.parametrize("with_old", [True, False])
def test_a_new_version_over_a_half_solved_one(old, with_old):
    mine, new = half_solved(old), new_version(old)
    merged = merge(mine, new, old if with_old else None)
    assert text(merged, "exercise-04-1") == ANSWER
    assert cell(merged, "exercise-04-1")["execution_count"] == 7
    played = a_code_cell(old)
    assert text(merged, played) == "my_play = 1"
    assert cell(merged, played)["outputs"][0]["text"] == ["hello\n"]
    assert ids(merged)[0] == "top"
    assert ids(merged).index("my-cell") == ids(merged).index("check-04-1") + 1
    assert ids(merged).index("04-0000bbbb") == ids(merged).index("check-04-2") + 1
    assert text(merged, "04-0000aaaa") == "A better explanation"
    assert text(merged, "hints-04-1") == "a better hint"
    assert a_code_cell(old, 5) not in ids(merged)
    assert [i for i in ids(merged) if i in ids(new)] == ids(new)
    assert set(ids(merged)) == {*ids(new), "top", "my-cell"}
    assert merged["metadata"]["language_info"] == {"name": "python"}


@pytest.mark.parametrize("with_old", [True, False])
def test_merging_again_changes_nothing(old, with_old):
    mine, new = half_solved(old), new_version(old)
    base = old if with_old else None
    once = merge(mine, new, base)
    for again in (merge(once, new, base), merge(once, new, new), merge(once, new)):
        assert as_file(again) == as_file(once)


def test_what_the_learner_deleted_comes_back_and_what_the_course_deleted_stays_if_it_was_edited(old):
    mine, new = half_solved(old), new_version(old)
    gone = a_code_cell(old, 5)
    cell(mine, gone)["source"] = ["# I changed this one"]
    mine["cells"].remove(cell(mine, "check-04-3"))
    merged = merge(mine, new, old)
    assert text(merged, gone) == "# I changed this one"
    assert "check-04-3" in ids(merged)


def test_a_cell_changed_on_both_sides_keeps_both(old):
    mine, new = copy.deepcopy(old), copy.deepcopy(old)
    id = a_code_cell(old)
    cell(mine, id)["source"] = ["mine"]
    cell(new, id).update(source=["theirs"], id="04-0000cccc")
    merged = merge(mine, new, old)
    assert (text(merged, id), text(merged, "04-0000cccc")) == ("mine", "theirs")


def test_a_changed_stub_stands_beside_the_answer_and_replaces_an_empty_one(old):
    new = copy.deepcopy(old)
    for number in "12":
        cell(new, f"exercise-04-{number}")["source"][0] = "def another_name(mu, log_var, more):\n"
    merged = merge(half_solved(old), new, old)
    assert text(merged, "exercise-04-1") == ANSWER
    note = merged["cells"][ids(merged).index("exercise-04-1") + 1]
    assert note["cell_type"] == "markdown"
    assert "The course has changed exercise 04.1" in "".join(note["source"])
    assert "def another_name(mu, log_var, more):" in "".join(note["source"])
    assert text(merged, "exercise-04-2").startswith("def another_name")
    assert as_file(merge(merged, new, old)) == as_file(merged)
    assert as_file(merge(merged, new, new)) == as_file(merged)
    assert text(merge(half_solved(old), new), "exercise-04-2").startswith("def another_name")  # without the old one


def test_an_exercise_that_is_gone_keeps_its_answer(old):
    new = copy.deepcopy(old)
    new["cells"] = [c for c in new["cells"] if not c["id"].endswith("-04-1")]
    merged = merge(half_solved(old), new, old)
    assert text(merged, "exercise-04-1") == ANSWER
    assert text(merged, "my-cell")


@pytest.mark.parametrize(
    "stub",
    [
        "def gaussian_kl(mu, log_var):\n    x = mu**2\n    # YOUR CODE HERE\n    raise NotImplementedError",
        "# a thought\ndef gaussian_kl(mu, log_var):\n    # YOUR CODE HERE\n    raise NotImplementedError",
        "y = 1\ndef gaussian_kl(mu, log_var):\n    # YOUR CODE HERE\n    raise NotImplementedError",
        "def gaussian_kl(mu, log_var):\n    raise NotImplementedError",
        "def gaussian_kl(mu",
    ],
)
def test_a_stub_that_was_begun_is_kept(old, stub):
    mine = copy.deepcopy(old)
    cell(mine, "exercise-04-1")["source"] = [stub]
    assert text(merge(mine, new_version(old), old), "exercise-04-1") == stub


def test_duplicated_and_lost_ids_lose_no_text(old):
    mine = half_solved(old)
    twin = {
        **copy.deepcopy(cell(mine, "exercise-04-1")),
        "source": ["def gaussian_kl(mu, log_var): return 'second try'"],
    }
    mine["cells"] += [twin, {**cell(mine, "exercise-04-1")}, {"cell_type": "raw", "source": "raw", "metadata": {}}]
    merged = merge(mine, new_version(old), old)
    everything = ["".join(c["source"]) for c in merged["cells"]]
    assert everything.count(ANSWER) == 1
    assert "def gaussian_kl(mu, log_var): return 'second try'" in everything
    assert "raw" in everything
    assert len(set(ids(merged))) == len(ids(merged))
    stripped = {**mine, "cells": [{k: v for k, v in c.items() if k != "id"} for c in half_solved(old)["cells"]]}
    merged = merge(stripped, new_version(old))
    assert text(merged, "exercise-04-1") == ANSWER
    assert {"gaussian_kl  # a look at it", "My notes"} <= {"".join(c["source"]) for c in merged["cells"]}
    assert as_file(merge(merged, new_version(old))) == as_file(merged)


def test_what_is_no_notebook_is_refused(old):
    for broken in ([], {}, {"cells": 3}, {"cells": [3]}):
        with pytest.raises(ValueError, match="mine: no notebook"):
            merge(broken, old)


def test_every_lesson_survives_a_merge_with_itself():
    for path in LESSONS.glob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        assert as_file(merge(notebook, notebook)) == path.read_text(encoding="utf-8")
        assert any(EXERCISE.match(i) for i in ids(notebook))


def test_a_rebuild_leaves_a_notebook_alone_in_which_somebody_has_worked(tmp_path, old, monkeypatch, capsys):
    monkeypatch.setattr(builder, "LESSONS", tmp_path)
    monkeypatch.setattr(builder, "sources", lambda lesson: [SOURCE])
    monkeypatch.setattr(sys, "argv", ["build", "04"])
    path = tmp_path / NAME
    path.write_text("no notebook", encoding="utf-8")
    for kept in (path.read_text(encoding="utf-8"), as_file(half_solved(old))):
        path.write_text(kept, encoding="utf-8")
        with pytest.raises(SystemExit, match="somebody has worked in them"):
            builder.main()
        assert path.read_text(encoding="utf-8") == kept
    run = copy.deepcopy(old)  # built from an older source, and run
    run["cells"].remove(cell(run, a_code_cell(run, 5)))
    cell(run, "hints-04-1")["source"] = ["an older hint"]
    cell(run, a_code_cell(run))["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["hello\n"]}]
    path.write_text(as_file(run), encoding="utf-8")
    builder.main()
    assert path.read_text(encoding="utf-8") == as_file(old)
    assert NAME in capsys.readouterr().out


# In a real repository


def git(folder, *arguments: str) -> str:
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(folder)}
    names = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *names, *arguments], cwd=folder, capture_output=True, text=True, env={**os.environ, **own}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def clone(tmp_path, lesson):
    """(the author's repository, the learner's clone of it), with one lesson and one module."""
    author, learner = tmp_path / "author", tmp_path / "learner"
    (author / "lessons").mkdir(parents=True)
    (author / "lessons" / NAME).write_text(as_file(lesson), encoding="utf-8")
    (author / "module.py").write_text("version = 1\n")
    (author / ".gitignore").write_text("backups/\n")
    git(author, "init", "-q", "-b", "main")
    git(author, "add", ".")
    git(author, "commit", "-qm", "first")
    git(tmp_path, "clone", "-q", str(author), str(learner))
    return author, learner


def publish(author, notebook: dict, name: str = NAME) -> None:
    (author / "lessons" / name).write_text(as_file(notebook), encoding="utf-8")
    (author / "module.py").write_text("version = 2\n")
    git(author, "add", ".")
    git(author, "commit", "-qm", "a new version")


def hold(learner) -> dict:
    return json.loads((learner / "lessons" / NAME).read_text(encoding="utf-8"))


def keep(learner, notebook: dict) -> str:
    written = json.dumps(notebook, indent=1)  # as some other program would write it
    (learner / "lessons" / NAME).write_text(written, encoding="utf-8")
    return written


def test_an_update_in_a_clone_keeps_answers_and_brings_the_new_version(clone, old):
    author, learner = clone
    written = keep(learner, half_solved(old))
    publish(author, new_version(old))
    said = []
    assert update.update(learner, said.append) == [f"lessons/{NAME}"]
    assert hold(learner) == merge(half_solved(old), new_version(old), old)
    assert (learner / "module.py").read_text() == "version = 2\n"
    (copy_of_mine,) = (learner / "backups").glob(f"*/lessons/{NAME}")
    assert copy_of_mine.read_text(encoding="utf-8") == written
    assert f"Kept your work in lessons/{NAME}." in said
    assert git(learner, "status", "--porcelain") == f" M lessons/{NAME}\n"
    assert update.update(learner, said.append) == []
    assert said[-1] == "The course is up to date."
    again = copy.deepcopy(new_version(old))
    put(again, "check-04-4", "a third version", id="04-0000dddd")
    publish(author, again)
    update.update(learner, said.append)
    assert text(hold(learner), "exercise-04-1") == ANSWER
    assert text(hold(learner), "04-0000dddd") == "a third version"
    assert not list(learner.glob("lessons/.*"))


def test_an_untouched_clone_is_updated_and_stays_clean(clone, old):
    author, learner = clone
    publish(author, new_version(old))
    assert update.update(learner, lambda line: None) == []
    assert git(learner, "status", "--porcelain") == ""
    assert not list((learner / "backups").glob("*"))


def test_a_lesson_that_is_gone_leaves_the_learners(clone, old):
    author, learner = clone
    keep(learner, half_solved(old))
    git(author, "rm", "-q", f"lessons/{NAME}")
    git(author, "commit", "-qm", "gone")
    update.update(learner, lambda line: None)
    assert hold(learner) == half_solved(old)


def test_a_notebook_that_cannot_be_read_is_left_as_it_was(clone, old):
    author, learner = clone
    (learner / "lessons" / NAME).write_bytes(b"\xff{ half a file")
    publish(author, new_version(old))
    said = []
    update.update(learner, said.append)
    assert (learner / "lessons" / NAME).read_bytes() == b"\xff{ half a file"
    assert any("cannot be read" in line for line in said)
    assert (learner / "module.py").read_text() == "version = 2\n"


def test_when_git_refuses_everything_is_as_it_was(clone, old):
    """The learner edited a module that the new version changes, too."""
    author, learner = clone
    written = keep(learner, half_solved(old))
    (learner / "module.py").write_text("my own\n")
    publish(author, new_version(old))
    with pytest.raises(Stop, match=r"(?s)git cannot update the course's files.*module\.py"):
        update.update(learner, lambda line: None)
    assert (learner / "lessons" / NAME).read_text(encoding="utf-8") == written
    assert (learner / "module.py").read_text() == "my own\n"


def test_own_commits_are_not_merged_blindly(clone, old):
    author, learner = clone
    keep(learner, half_solved(old))
    git(learner, "commit", "-qam", "my answers")
    publish(author, new_version(old))
    with pytest.raises(Stop, match="You have commits of your own"):
        update.update(learner, lambda line: None)
    assert hold(learner) == half_solved(old)


@pytest.mark.parametrize("step", ["checkout", "merge", "write"])
def test_an_update_that_was_stopped_half_way_is_finished_by_the_next(clone, old, monkeypatch, step):
    """As if the power failed at this step: nothing after it runs, not even what stands in a `finally`."""
    author, learner = clone
    keep(learner, half_solved(old))
    publish(author, new_version(old))

    class PowerCut(BaseException):
        pass

    cut, original, write_original = [], update._git, update._write

    def failing_git(root, *arguments, **more):
        if cut or arguments[0] == step:
            cut.append(1)
            raise PowerCut
        return original(root, *arguments, **more)

    def failing_write(path, content):
        if cut or (step == "write" and path.suffix == ".ipynb"):
            cut.append(1)
            raise PowerCut
        write_original(path, content)

    monkeypatch.setattr(update, "_git", failing_git)
    monkeypatch.setattr(update, "_write", failing_write)
    with pytest.raises(PowerCut):
        update.update(learner, lambda line: None)
    monkeypatch.undo()
    said = []
    update.update(learner, said.append)
    assert said[0].startswith("An earlier update was stopped")
    assert hold(learner) == merge(half_solved(old), new_version(old), old)
    assert (learner / "module.py").read_text() == "version = 2\n"


def test_a_folder_that_is_no_clone_is_told_the_other_way(tmp_path):
    with pytest.raises(Stop, match="no clone of the course; see --answers"):
        update.update(tmp_path)


# Without git


def test_answers_are_brought_into_a_new_course(tmp_path, old, lesson):
    theirs, here = tmp_path / "old" / "lessons", tmp_path / "new" / "lessons"
    theirs.mkdir(parents=True)
    here.mkdir(parents=True)
    (theirs / NAME).write_text(as_file(half_solved(old)), encoding="utf-8")
    (here / NAME).write_text(as_file(lesson), encoding="utf-8")
    said = []
    assert bring(theirs, here.parent, said.append) == [NAME]
    merged = json.loads((here / NAME).read_text(encoding="utf-8"))
    assert merged == merge(half_solved(old), lesson)
    assert bring(theirs, here.parent, said.append) == []
    (here / NAME).write_text(as_file({**merged, "metadata": {}}), encoding="utf-8")
    assert bring(theirs, here.parent, said.append) == []
    assert "is left alone" in said[-1]
    with pytest.raises(Stop, match="--answers: got"):
        bring(here.parent, here.parent)


def test_the_command_says_why_it_stopped(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "course_lib.update", "--answers", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert "wanted a folder with your notebooks" in done.stderr
    assert "Traceback" not in done.stderr
