"""Makes nbval compare check cells with the course's verdict, never with what a notebook happens to hold.

A learner's Run All and save turns whatever was printed into nbval's expectation, and a cell with no execution count is
not compared at all: plain nbval then passes wrong and unsolved exercises. This plugin, active wherever the library is
installed, puts the expectation back before the comparison and says in words what is not solved yet. It imports the
exercises, and with them torch, only where a notebook holds one.
"""

import re

import pytest

CHECK = re.compile(r'\bcheck\("(\d\d\.\d+)"')
FOUND = pytest.StashKey[dict]()


def pytest_collection_modifyitems(config, items):
    found = config.stash[FOUND] = {}
    for item in items:
        cell = getattr(item, "cell", None)  # only nbval's items have one
        if cell is not None and (named := CHECK.search(cell.source)) and (expected := _right(named[1])):
            _expect(item, expected)
            found[item.nodeid] = named[1]


def _right(id: str) -> str | None:
    """What a right answer prints; None where the course has no such exercise: somebody else's check."""
    from course_lib.exercises.judge import exercise, right_message

    try:
        return right_message(exercise(id)) + "\n"
    except ValueError:
        return None


def _expect(item, text: str) -> None:
    from nbformat.v4 import new_output

    item.cell.outputs, item.cell.execution_count = [new_output("stream", name="stdout", text=text)], 1
    item.options["check"] = True
    original = item.repr_failure

    def in_words(excinfo):
        if item.test_outputs and "Cell outputs differ" in str(excinfo.value):
            return "".join(o.get("text", "") for o in item.test_outputs)
        return original(excinfo)

    item.repr_failure = in_words


def pytest_terminal_summary(terminalreporter, config):
    found = config.stash.get(FOUND, {})
    if not found or config.option.collectonly:
        return
    from course_lib.exercises.judge import exercises

    passed = {report.nodeid for report in terminalreporter.stats.get("passed", []) if report.when == "call"}
    right = {id for nodeid, id in found.items() if nodeid in passed}
    every = [e.id for lesson in sorted({id[:2] for id in found.values()}) for e in exercises(lesson)]
    terminalreporter.section("exercises")
    for id in every:
        note = "" if id in found.values() else "   (its check is not in the notebook)"
        terminalreporter.write_line(f"{'✓ right  ' if id in right else '○ not yet'} {id}{note}")
    terminalreporter.write_line(f"{len(right)} of {len(every)} exercises right")
