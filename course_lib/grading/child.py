"""The process that runs answers. It is started alone, by its path, and can import nothing of the course.

    python -I -S child.py SETTINGS      SETTINGS is JSON, from `sandbox.py`

It is handed a cell and arguments, and gives back what came out. What would be right, it never knows. On Linux it
serves from a cage (`cage.py`), a fresh one for each exercise; elsewhere it answers on its own standard streams.
"""

import contextlib
import copy
import importlib.util
import io
import json
import os
import socket
import sys
import types

MOST_PRINTED = 10_000  # characters kept of what an answer prints


class Capped(io.StringIO):
    """Keeps the beginning of what is written, however much it is."""

    def write(self, text: str) -> int:
        if self.tell() < MOST_PRINTED:
            super().write(text[:MOST_PRINTED])
        return len(text)


def load(paths: dict[str, str]) -> types.SimpleNamespace:
    """The few modules of the course that are needed here, by their files; afterwards no import finds any."""
    for name in ("course_lib", "course_lib.exercises", "course_lib.grading"):
        sys.modules[name] = types.ModuleType(name)
    found = {}
    for name, path in paths.items():
        spec = importlib.util.spec_from_file_location(name, path)
        found[name.split(".")[-1]] = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    for name in [n for n in sys.modules if n.split(".")[0] == "course_lib"]:
        del sys.modules[name]
    return types.SimpleNamespace(**found)


def evaluate(request: dict, use: types.SimpleNamespace, out_fd: int) -> None:
    """Runs the answer's cell and its function on every call of the request; sends each result at once."""
    names, out = {"__name__": "__main__"}, Capped()
    sys.stdout = sys.stderr = out
    for line in request["imports"]:
        with contextlib.suppress(Exception):
            exec(line, names)
    course = dict(names)
    for source in request["course"]:
        exec(source, course)
    for cell in request["earlier"]:
        with contextlib.suppress(BaseException):
            _execute(cell["source"], names)
        if cell["by_course"]:
            names[cell["name"]] = course[cell["name"]]
    names.pop(request["name"], None)

    def send(**message) -> None:
        data = use.wire.pack(message)
        while data:
            data = data[os.write(out_fd, data) :]

    try:
        _execute(request["source"], names)
    except BaseException as error:
        return send(part="cell", error=use.running.described(error))
    function = names.get(request["name"])
    is_there = request["name"] in names
    send(part="cell", error=None, found=is_there, kind=None if callable(function) else use.running.kind(function))
    if not callable(function):
        return None

    def call(part: str, f, arguments: dict) -> bool:
        given = copy.deepcopy(arguments)
        run = use.running.run_one(f, given, out)
        after = {n: v for n, v in given.items() if isinstance(v, use.running.Tensor)}
        send(part=part, value=run.value, error=run.error, stub=run.stub, printed=run.printed[:500], after=after)
        return run.error is None

    if not all(call("value", function, arguments) for arguments in request["calls"]):
        return None
    for n in request["gradient_calls"]:
        arguments = request["calls"][n]
        call("gradient", use.running.gradients(function, tuple(arguments), tuple(request["gradient"])), arguments)
    for arguments in request["calls"]:
        call("again", function, arguments)
    return None


def _execute(source: str, names: dict) -> None:
    try:
        code = compile(source, "<answer>", "exec")
    except SyntaxError:  # Jupyter's own lines, %time and !ls, are left out
        kept = [("" if line.lstrip()[:1] in ("%", "!") else line) for line in source.splitlines()]
        code = compile("\n".join(kept), "<answer>", "exec")
    exec(code, names)


def answer_on_standard_streams(use: types.SimpleNamespace) -> None:
    """Without a cage: one request after another from standard input, each answer closed by a message "end"."""
    requests, out_fd = os.fdopen(os.dup(0), "rb"), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.write(out_fd, use.wire.pack({"part": "ready"}))
    while request := next(use.wire.unpack(use.wire.read_one(requests), formulas=True), None):
        evaluate(request, use, out_fd)
        os.write(out_fd, use.wire.pack({"part": "end"}))


def main() -> None:
    settings = json.loads(sys.argv[1])
    sys.path += settings["site"]
    use = load(settings["load"])
    for line in settings["preload"]:
        with contextlib.suppress(Exception):
            exec(line, {})
    if settings["control"] is None:
        use.limits.set_limits(settings["limits"])  # after torch, which opens many files
        answer_on_standard_streams(use)
    else:
        control = socket.socket(fileno=settings["control"])
        use.cage.serve(control, settings, lambda request, fd: evaluate(request, use, fd), use)


if __name__ == "__main__":
    main()
