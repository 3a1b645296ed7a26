"""What `ready.report` says when something is missing: the name of it, and what to do."""

import importlib.util
import sys
from importlib import metadata

import pytest
import torch

from course_lib import data, ready
from course_lib.data import DamagedFile


@pytest.fixture(autouse=True)
def no_download(monkeypatch):
    monkeypatch.setattr(data, "digits_source", lambda: "strokes")


def finding(what):
    return next(f for f in ready.look() if f.what == what)


def test_here_everything_is_there(capsys):
    assert all(f.good for f in ready.look())
    ready.report()
    out = capsys.readouterr().out
    assert out.count("✓") == 5
    assert "Everything is here" in out


def test_an_old_python_is_named(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    ready.report()
    out = capsys.readouterr().out
    assert "○ Python    3.9.2" in out
    assert "Python 3.11 or newer" in out
    assert "1 of 5 need a look" in out


def test_another_version_and_a_missing_package_are_named(monkeypatch):
    real = metadata.version

    def version(name):
        if name == "anywidget":
            raise metadata.PackageNotFoundError(name)
        return "1.0.0" if name == "torch" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    found = finding("packages")
    assert not found.good
    assert "torch 1.0.0 (wanted" in found.said
    assert "anywidget missing" in found.said
    assert "make setup" in found.advice


def test_a_course_that_is_not_installed_is_said(monkeypatch):
    def requires(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert "not installed" in finding("packages").said


def test_a_missing_widget_package_is_named(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "anywidget" else real(name))
    found = finding("widgets")
    assert (found.good, found.said) == (False, "anywidget missing")
    assert "make setup" in found.advice


def test_digits_are_mnist_strokes_or_damaged(monkeypatch):
    assert "strokes" in finding("digits").said
    assert "MNIST" in finding("digits").advice
    monkeypatch.setattr(data, "digits_source", lambda: "mnist")
    assert finding("digits") == ready.Finding("digits", True, "MNIST")

    def damaged():
        raise DamagedFile("t10k-labels-idx1-ubyte is not MNIST's. Delete it")

    monkeypatch.setattr(data, "digits_source", damaged)
    found = finding("digits")
    assert not found.good
    assert "Delete it" in found.advice


def test_a_gpu_that_does_not_compute_is_not_called_ready(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old Card")

    def broken(*args, **more):
        raise RuntimeError("no kernel image is available\nmore")

    monkeypatch.setattr(torch, "ones", broken)
    found = finding("device")
    assert found.said == "Old Card, which fails: no kernel image is available"
    assert "CUDA_VISIBLE_DEVICES" in found.advice
