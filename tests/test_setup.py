"""What a fresh machine meets: pins, README, Makefile, import time."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request

import pytest

from course_lib import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_environment_yml_pins_what_pyproject_pins():
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    pip = [line.strip().removeprefix("- ") for line in lines if line.startswith("      - ")]
    assert sorted(pip) == sorted([*PROJECT["dependencies"], "-e ."])


def test_every_dependency_is_pinned():
    for requirement in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", requirement), requirement


def test_the_installed_versions_are_the_pinned_ones():
    from importlib.metadata import version

    for requirement in PROJECT["dependencies"]:
        name, wanted = requirement.split("==")
        assert version(name).split("+")[0] == wanted


def test_readme_names_only_make_targets_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", README, re.M))
    assert {"lab", "test", "check", "lessons", "bench", "help", "setup"} <= targets
    assert {"lab", "test"} <= named <= targets
    described = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(f"make {target}" in described for target in named)


def test_readme_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_readmes_plain_commands_are_what_make_runs():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in ("-m venv", "pip install", "-e .", "jupyter lab --notebook-dir=lessons"):
        assert command in README
        assert command in makefile


def test_setup_is_quick_when_nothing_changed():
    if not (ROOT / ".venv" / ".ready").exists():
        pytest.skip("this environment was not made by make setup")
    done = subprocess.run(["make", "setup"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=5)
    assert "pip" not in done.stdout


def test_make_check_runs_what_the_lesson_tests_run():
    shown = subprocess.run(["make", "-n", "check", "LESSON=04"], cwd=ROOT, capture_output=True, text=True, check=True)
    for part in (
        "--nbval-lax",
        "--nbval-current-env",
        "--nbval-cell-timeout=300",
        "-c /dev/null",
        "lessons/04_*.ipynb",
    ):
        assert part in shown.stdout


@pytest.mark.slow
def test_make_lab_serves_the_lessons():
    if not (ROOT / ".venv" / ".ready").exists():
        pytest.skip("this environment was not made by make setup")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    options = f"LAB=--no-browser --allow-root --port={port} --IdentityProvider.token=letmein"
    lab = subprocess.Popen(["make", "lab", options], cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)
    address = f"http://127.0.0.1:{port}/api/contents/?token=letmein"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                names = {item["name"] for item in json.load(urllib.request.urlopen(address, timeout=5))["content"]}
                break
            except OSError:
                assert lab.poll() is None, "make lab ended"
                assert time.monotonic() < deadline, "JupyterLab did not answer within a minute"
                time.sleep(0.3)
        assert "04_gaussian_elbo.ipynb" in names
    finally:
        os.killpg(lab.pid, signal.SIGTERM)
        lab.wait(20)


def test_two_workers_share_out_whole_files_and_single_lessons(tmp_path):
    """What tests/conftest.py promises: xdist gives no warning where its own groups are lost, as they are here."""
    pytest.importorskip("xdist")
    for name in ("conftest.py", "browser.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path)
    head = "import os, time, pytest\nfour = pytest.mark.parametrize('k', range(4))\n"
    threads = f"assert os.environ['OMP_NUM_THREADS'] == '{max(1, (os.cpu_count() or 1) // 2)}'"
    for file in ("test_a", "test_b", "test_slides_site"):
        (tmp_path / f"{file}.py").write_text(f"{head}@four\ndef test_it(k): {threads}\n")
    (tmp_path / "test_lessons.py").write_text(
        f"{head}@four\ndef test_offline(k): time.sleep(1)\n@four\ndef test_a_solved_lesson_runs_on_mnist(k): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, f"--rootdir={tmp_path}", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "-n", "2", "-v", "."], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert re.search(r"=+ 20 passed in .* =+\n$", done.stdout)
    workers = {}
    for worker, file, test in re.findall(r"^\[(gw\d)\].* PASSED (\w+)\.py::(\w+)", done.stdout, re.M):
        workers.setdefault((file, test), set()).add(worker)
    assert len(workers.pop(("test_lessons", "test_offline"))) == 2
    assert [len(ran_by) for ran_by in workers.values()] == [1, 1, 1, 1]
    assert workers["test_slides_site", "test_it"] == workers["test_lessons", "test_a_solved_lesson_runs_on_mnist"]


def test_importing_the_library_is_nearly_free():
    """≤ 0.3 s on top of torch for what every lesson imports; plots and widgets bring matplotlib and anywidget."""
    code = (
        "import time, torch, torch.nn.functional; a = time.perf_counter();"
        "import course_lib; from course_lib import data, metrics, models, nets, objectives, training;"
        "print(time.perf_counter() - a); import sys;"
        "print([m for m in ('matplotlib', 'pandas', 'seaborn', 'sklearn', 'requests') if m in sys.modules])"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    seconds = min(float(run.stdout.splitlines()[0]) for run in runs)
    assert seconds < 0.6, "0.3 s is what `make bench` reports; twice that is a mistake, not a busy machine"
    assert runs[0].stdout.splitlines()[1] == "[]"


def test_no_file_names_a_machine_path_or_a_package_index():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pattern = re.compile(r"/(?:work|farm|root|home)/|index-url|find-links")
    for name in tracked:
        path = ROOT / name
        if path.suffix in (".png", ".safetensors") or not path.exists() or name == "tests/test_setup.py":
            continue
        found = pattern.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{name}: {found}"


def test_an_unknown_module_is_named():
    import course_lib

    with pytest.raises(AttributeError, match="no attribute 'ladders'"):
        course_lib.ladders  # noqa: B018
    assert "models" in dir(course_lib)
