"""python -m course_lib.data: what a lecturer types before a class."""

import pytest
from test_data_digits import TINY, server, tiny  # noqa: F401  fixtures

from course_lib.data import mnist
from course_lib.data.__main__ import main


def test_fetch(tiny, server, capsys, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setattr(mnist, "CACHE", tmp_path / "cache")
    server.use("good")
    main(["fetch"])
    assert f"MNIST is here and whole: {tmp_path / 'cache'}" in capsys.readouterr().out
    main(["fetch"])
    assert len(server.asked) == len(TINY)
    (tmp_path / "cache" / next(iter(TINY))).write_bytes(b"no digits")
    with pytest.raises(SystemExit, match="SHA-256"):
        main(["fetch"])


def test_sheets(tmp_path, capsys):
    main(["sheets", "--to", str(tmp_path)])
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / name) for name in ("strokes.png", "sprites.png")]
    for name in ("strokes.png", "sprites.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_no_command_tells_the_commands(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "{measure,sheets,fetch}" in capsys.readouterr().err
