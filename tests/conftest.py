"""Fixtures of every test, and how `pytest -n 2` (`make test`) shares the tests out over its workers."""

import os
from pathlib import PurePath

import pytest
from browser import chromium, lab, lab_page, page  # noqa: F401

FIRST = ("test_slides_site", "test_lessons", "test_grade")  # the longest: nobody waits for one of them at the end
WITH = {
    "test_jupyterlab_estimators": "test_jupyterlab",  # the server
    "test_jupyterlab_small": "test_jupyterlab",
    "test_progress": "test_grade",  # the sandbox, whose tests look at all processes of its user
}


def pytest_configure(config):
    """Workers do not quarrel over the processor: each, with the kernels that it starts, computes on its share."""
    if workers := _workers(config):
        os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))  # read when torch is loaded


def pytest_collection_modifyitems(config, items):
    if _workers(config):
        items.sort(key=lambda item: FIRST.index(unit) if (unit := _file(item.nodeid)) in FIRST else len(FIRST))


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist, tests run one after the other
def pytest_xdist_make_scheduler(config, log):
    """Tests of a file stay on one worker, with what they start; lessons, a minute a run, go one by one."""
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = _file(nodeid)
            return nodeid if file == "test_lessons" else file

    config.option.loadscopereorder = False  # as pytest_collection_modifyitems has put them
    return Files(config, log)


def _file(nodeid: str) -> str:
    """The file with whose tests a test must run."""
    if "::test_a_solved_lesson_runs_on_mnist" in nodeid:
        return "test_slides_site"  # that run of the lesson is its own, too
    name = PurePath(nodeid.split("::")[0]).stem
    return WITH.get(name, name)


def _workers(config) -> int:
    """How many workers this is one of; 0 where tests run one after the other."""
    return getattr(config, "workerinput", {}).get("workercount", 0)
