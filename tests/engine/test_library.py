"""Which TensorRT is found, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from cnnrnn.core.errors import MissingDependencyError, OptionsError
from cnnrnn.runtime.engine import library as libraries
from cnnrnn.runtime.engine.library import Library, load_library, on_jetson


def module(name: str, version: str, **members: object) -> ModuleType:
    made = ModuleType(name)
    made.__dict__.update(members, __version__=version)
    return made


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType | Exception]:
    """What an import of TensorRT gives: nothing, until a test says otherwise."""
    found: dict[str, ModuleType | Exception] = {}

    def imported(name: str) -> ModuleType:
        result = found.get(name)
        if result is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(libraries.importlib, "import_module", imported)
    monkeypatch.setattr(libraries, "on_jetson", lambda: False)
    return found


@pytest.mark.parametrize(
    ("name", "first", "second", "version"),
    [
        ("tensorrt", "tensorrt", "tensorrt_bindings", "10.3.0"),
        ("tensorrt", "tensorrt", "tensorrt_bindings", "11.4.0.106"),
        ("tensorrt-rtx", "tensorrt_rtx", "tensorrt_rtx_bindings", "1.7.1.116"),
    ],
)
def test_the_metapackage_goes_before_the_bare_bindings(
    installed: dict[str, ModuleType], name: str, first: str, second: str, version: str
) -> None:
    installed[second] = module(second, version)
    assert load_library(name).module is installed[second]
    installed[first] = module(first, version)
    found = load_library(name)
    assert found.module is installed[first]
    assert (found.name, found.version) == (name, version)
    assert found.release[:2] == tuple(map(int, version.split(".")[:2]))


@pytest.mark.parametrize(("name", "extra"), [("tensorrt", "tensorrt"), ("tensorrt-rtx", "tensorrt-rtx")])
@pytest.mark.usefixtures("installed")
def test_no_library_names_the_extra(name: str, extra: str) -> None:
    with pytest.raises(MissingDependencyError, match=rf"pip install 'cnnrnn\[{extra}\]'") as raised:
        load_library(name)
    assert raised.value.exit_code == 3


@pytest.mark.usefixtures("installed")
def test_on_a_jetson_jetpack_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "on_jetson", lambda: True)
    with pytest.raises(MissingDependencyError, match="nvidia-jetpack") as raised:
        load_library("tensorrt")
    assert "--system-site-packages" in str(raised.value)
    assert "pip install" not in str(raised.value)


@pytest.mark.parametrize("machine", ["aarch64", "x86_64"])
def test_a_jetson_is_an_arm_machine_with_its_release(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries.platform, "machine", lambda: machine)
    release = tmp_path / "nv_tegra_release"
    assert not on_jetson(release)
    release.write_text("# R36 (release), REVISION: 4.0\n")
    assert on_jetson(release) == (machine == "aarch64")


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libnvinfer.so.10: cannot open shared object file"),
        ModuleNotFoundError("No module named 'tensorrt_libs'", name="tensorrt_libs"),
        RuntimeError("CUDA initialization failure"),
    ],
)
def test_a_library_that_does_not_load_says_why(
    installed: dict[str, ModuleType | Exception], error: Exception
) -> None:
    installed["tensorrt"] = error
    with pytest.raises(MissingDependencyError, match="cannot be imported") as raised:
        load_library("tensorrt")
    assert str(error) in str(raised.value)


@pytest.mark.parametrize(
    ("name", "version", "advice"),
    [
        ("tensorrt", "8.6.1", "pip install"),
        ("tensorrt", "10.2.0", "pip install"),
        ("tensorrt", "12.0.0", "newer cnnrnn"),
        ("tensorrt-rtx", "1.6.0", "pip install"),
        ("tensorrt-rtx", "2.0", "newer cnnrnn"),
        ("tensorrt", "", "pip install"),
    ],
)
def test_other_versions_are_refused(
    installed: dict[str, ModuleType], name: str, version: str, advice: str
) -> None:
    first = name.replace("-", "_")
    installed[first] = module(first, version)
    with pytest.raises(MissingDependencyError, match=advice) as raised:
        load_library(name)
    assert version in str(raised.value)


def test_an_unknown_name() -> None:
    with pytest.raises(OptionsError, match="'ort-cpu' builds no engines; tensorrt and tensorrt-rtx do"):
        load_library("ort-cpu")


def test_what_a_version_has_is_asked_of_it() -> None:
    config = type("IBuilderConfig", (), {"set_compute_capability": None, "set_flag": len})
    found = Library("tensorrt", module("tensorrt", "11.4.0", IBuilderConfig=config), "11.4.0")
    assert found.has("IBuilderConfig.set_flag")
    assert not found.has("IBuilderConfig.set_flags")
    assert not found.has("BuilderFlag.FP16")
    assert not found.ahead_of_time
    assert "tensorrt" not in sys.modules or sys.modules["tensorrt"] is not found.module
