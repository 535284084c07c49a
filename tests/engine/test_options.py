"""What may be chosen about a build, and what is refused before any work."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from cnnrnn.core.errors import MissingDependencyError, OptionsError
from cnnrnn.runtime.engine import options as module_of_options
from cnnrnn.runtime.engine.device import Device
from cnnrnn.runtime.engine.library import Library, LibraryName
from cnnrnn.runtime.engine.options import BuildOptions, check, known_capabilities

GPU = Device("Orin", "8.7", "540.4.0", "12.6")
LEVELS = ("NONE", "AMPERE_PLUS")


def library(name: LibraryName = "tensorrt", version: str = "10.13.0", *levels: str) -> Library:
    made = ModuleType("tensorrt")
    both = levels or (*LEVELS, "SAME_COMPUTE_CAPABILITY")
    members: dict[str, Any] = {level: index for index, level in enumerate(both, 1)}
    made.__dict__["HardwareCompatibilityLevel"] = type("HardwareCompatibilityLevel", (), members)
    if name == "tensorrt-rtx":
        known = {"NONE": 1, "CURRENT": 2, "SM75": 3, "SM86": 4, "SM120": 5, "SM89": 6}
        made.__dict__["ComputeCapability"] = type("ComputeCapability", (), known)
        made.__dict__["IBuilderConfig"] = type("IBuilderConfig", (), {"set_compute_capability": len})
    return Library(name, made, version)


RTX = library("tensorrt-rtx", "1.7.1")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"compute_capabilities": ("86",)}, "'86'"),
        ({"compute_capabilities": ("8.6", "sm_86")}, "'sm_86'"),
        ({"compute_capabilities": (8.6,)}, "8.6"),
        ({"workspace_mib": 0}, "workspace_mib=0 is outside 1 to"),
        ({"workspace_mib": True}, "workspace_mib=True"),
        ({"workspace_mib": 2**30}, "workspace_mib"),
        ({"optimization_level": 6}, "optimization_level=6 is outside 0 to 5"),
        ({"optimization_level": 2.5}, "optimization_level=2.5"),
        ({"hardware_compatible": "turing+"}, "known are ampere\\+, same"),
    ],
)
def test_values_outside_their_limits(values: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionsError, match=words):
        BuildOptions(**values)


def test_targets_are_in_order_and_once() -> None:
    options = BuildOptions(compute_capabilities=("12.0", "7.5", "8.6", "7.5"))
    assert options.compute_capabilities == ("7.5", "8.6", "12.0")
    assert options.architecture == "sm75+sm86+sm120"


def test_items_are_what_was_chosen() -> None:
    assert BuildOptions().items() == ()
    assert BuildOptions(timing_cache=False).items() == ()  # an engine is as good without
    assert BuildOptions(workspace_mib=64, refit=True, compute_capabilities=("8.6",)).items() == (
        ("refit", True),
        ("workspace_mib", 64),
    )
    assert BuildOptions(tf32=True, version_compatible=True).items() == (
        ("tf32", True),
        ("version_compatible", True),
    )
    assert BuildOptions(optimization_level=0).items() == (("optimization_level", 0),)


@pytest.mark.parametrize(
    ("given", "where", "word"),
    [
        (BuildOptions(optimization_level=5), RTX, "optimization_level"),
        (BuildOptions(hardware_compatible="ampere+"), RTX, "compute_capabilities"),
        (BuildOptions(version_compatible=True), RTX, "version_compatible"),
        (BuildOptions(hardware_compatible="same"), library("tensorrt", "10.3.0", *LEVELS), "10.13 has it"),
        (BuildOptions(refit=True), library("tensorrt", "11.3.0"), "bias of a matrix product"),
    ],
)
def test_what_a_version_lacks_is_refused_by_name(given: BuildOptions, where: Library, word: str) -> None:
    with pytest.raises(OptionsError, match=word) as raised:
        check(given, where, GPU)
    assert where.title in str(raised.value)


def test_all_that_is_lacking_is_told_at_once() -> None:
    with pytest.raises(OptionsError) as raised:
        check(BuildOptions(optimization_level=1, version_compatible=True, refit=True), RTX)
    for word in ("optimization_level", "version_compatible", "refit needs a GPU"):
        assert word in str(raised.value)


def test_a_jetson_has_no_hardware_compatibility(monkeypatch: pytest.MonkeyPatch) -> None:
    check(BuildOptions(hardware_compatible="ampere+"), library(), GPU)
    monkeypatch.setattr(module_of_options, "on_jetson", lambda: True)
    with pytest.raises(OptionsError, match="not supported on a Jetson"):
        check(BuildOptions(hardware_compatible="ampere+"), library(), GPU)


def test_ampere_and_newer_is_not_built_on_an_older_gpu() -> None:
    check(BuildOptions(hardware_compatible="ampere+"), library(), Device("A100", "8.0"))
    old = Device("T4", "7.5")
    check(BuildOptions(hardware_compatible="same"), library(), old)
    with pytest.raises(
        OptionsError, match=r"'ampere\+' is for GPUs from compute capability 8.0 .* T4 has 7.5"
    ):
        check(BuildOptions(hardware_compatible="ampere+"), library(), old)


def test_tensorrt_builds_for_the_gpu_that_is_here() -> None:
    assert check(BuildOptions(), library(), GPU).architecture == "sm87"
    assert check(BuildOptions(compute_capabilities=("8.7",)), library(), GPU).architecture == "sm87"
    with pytest.raises(OptionsError, match=r"Orin \(8.7\) alone, not for compute capability 8.6"):
        check(BuildOptions(compute_capabilities=("8.6", "8.7")), library(), GPU)


def test_tensorrt_without_a_gpu_is_exit_code_3() -> None:
    with pytest.raises(MissingDependencyError, match="--backend tensorrt-rtx") as raised:
        check(BuildOptions(), library())
    assert raised.value.exit_code == 3


def test_tensorrt_rtx_builds_for_any() -> None:
    assert known_capabilities(RTX) == ["7.5", "8.6", "8.9", "12.0"]
    assert check(BuildOptions(), RTX).architecture == "sm86+sm89+sm120"
    ada = Device("a GPU", "8.9")
    assert check(BuildOptions(), RTX, ada).architecture == "sm89"
    assert check(BuildOptions(compute_capabilities=("7.5",)), RTX, ada).architecture == "sm75"


@pytest.mark.parametrize("device", [None, GPU])
def test_an_unknown_architecture_lists_those_known(device: Device | None) -> None:
    with pytest.raises(OptionsError, match=r"capability 8.7; it knows 7.5, 8.6, 8.9, 12.0"):
        check(BuildOptions(compute_capabilities=("8.7",)), RTX, device)
