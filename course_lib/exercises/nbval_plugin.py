"""Makes nbval compare check cells with the course's verdict, never with what a notebook happens to hold.

A learner's Run All and save turns whatever was printed into nbval's expectation, and a cell with no execution count is
not compared at all: plain nbval then passes wrong and unsolved exercises. This plugin, active wherever the library is
installed, puts the expectation back before the comparison and says in words what is not solved yet.
"""

import pytest

from course_lib.exercises.source import CHECK

COURSE = pytest.StashKey[dict]()


def pytest_collection_modifyitems(config, items):
    checks = {}
    for item in items:
        cell = getattr(item, "cell", None)  # an nbval item
        if cell is None or not (found := CHECK.search(cell.source)):
            continue
        from nbformat.v4 import new_output

        from course_lib.exercises.judge import exercise, right_message

        id = found[1]
        cell.outputs = [new_output("stream", name="stdout", text=right_message(exercise(id)) + "\n")]
        cell.execution_count = 1
        item.options["check"] = True
        item.repr_failure = _in_words(item, item.repr_failure)
        checks[item.nodeid] = id
    config.stash[COURSE] = checks


def _in_words(item, original):
    def repr_failure(excinfo):
        if item.test_outputs and "Cell outputs differ" in str(excinfo.value):
            return "".join(o.get("text", "") for o in item.test_outputs)
        return original(excinfo)

    return repr_failure


def pytest_terminal_summary(terminalreporter, config):
    checks = config.stash.get(COURSE, {})
    if not checks:
        return
    solved = {r.nodeid for r in terminalreporter.stats.get("passed", []) if r.when == "call"}
    terminalreporter.section("exercises")
    for nodeid, id in checks.items():
        terminalreporter.write_line(f"{'✓ right  ' if nodeid in solved else '○ not yet'} {id}")
    right = sum(nodeid in solved for nodeid in checks)
    terminalreporter.write_line(f"{right} of {len(checks)} exercises right")
