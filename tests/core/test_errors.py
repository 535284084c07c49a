"""The exception tree: one root, documented exit codes, all of it public."""

from __future__ import annotations

import inspect

import pytest

import cnnrnn
from cnnrnn.core import errors
from cnnrnn.core.extras import require, require_cv2

DEFINED = {name: kind for name, kind in vars(errors).items() if inspect.isclass(kind)}
ALL = {name: kind for name, kind in DEFINED.items() if issubclass(kind, errors.CnnrnnError)}


def test_every_error_has_the_root_and_is_public_and_drawn():
    assert ALL == DEFINED
    for name, kind in ALL.items():
        assert name in cnnrnn.__all__
        assert getattr(cnnrnn, name) is kind
        assert name in (errors.__doc__ or "")


def test_exit_codes():
    requests = {name for name, kind in ALL.items() if kind.exit_code == 2}
    assert requests == {"RequestError", "OptionsError", "ConfigError", "ModelError", "UnknownBundleError"}
    assert all(issubclass(ALL[name], ValueError) for name in requests)
    absent = {name for name, kind in ALL.items() if kind.exit_code == 3}
    assert absent == {"MissingDependencyError", "NoDeviceError"}


def test_a_parity_error_carries_its_report():
    assert errors.ParityError("left the path", {"step": 3}).report == {"step": 3}


def test_a_missing_dependency_names_its_extra():
    assert require("json", "cpu").dumps([]) == "[]"
    with pytest.raises(errors.MissingDependencyError, match=r"pip install 'cnnrnn\[tensorrt\]'") as caught:
        require("no_such_engine.sub", "tensorrt")
    assert isinstance(caught.value, ImportError)
    assert caught.value.name == "no_such_engine"


def test_a_broken_dependency_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_engine.py").write_text("import what_it_needs\n")
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        errors.MissingDependencyError, match=r"installed but cannot be imported: .*what_it_needs"
    ):
        require("broken_engine", "cpu")
    monkeypatch.delitem(__import__("sys").modules, "cv2", raising=False)
    with pytest.raises(errors.MissingDependencyError, match=r"libGL.*opencv-python-headless") as caught:
        require_cv2()
    assert "exactly one" in str(caught.value)
