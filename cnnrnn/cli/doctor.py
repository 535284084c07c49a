"""Tell what this machine can run, and the exact command for what is missing.

Exit code 0 where a bundle can be run here with at least one engine, else 3.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass

from cnnrnn.cli.output import print_json, print_line, table
from cnnrnn.core import machine
from cnnrnn.core.bundle import shipped_bundles
from cnnrnn.core.errors import MissingDependencyError
from cnnrnn.runtime.engine.library import (
    TENSORRT,
    TENSORRT_RTX,
    TITLES,
    LibraryName,
    install_advice,
    load_library,
)

NOTHING_TO_DO_IT_WITH = 3
OPENCV_WHEELS = ("opencv-python", "opencv-python-headless")
ONNX_RUNTIME_WHEELS = ("onnxruntime", "onnxruntime-gpu")
# PyPI has no onnxruntime-gpu for a Jetson's processor.
JETSON_ONNX_RUNTIME = (
    "install the onnxruntime-gpu wheel that NVIDIA builds for this JetPack (Jetson AI Lab's package index)"
)
# There TensorRT goes with JetPack: to install JetPack's packages again would bring the same version.
JETSON_TENSORRT = "install JetPack 6.1 or newer, which brings TensorRT 10.3 or newer"
CUDA_CORE = "pip install 'cnnrnn[cuda13]', or 'cnnrnn[cuda12]' where nvidia-smi shows CUDA 12"
NOT_INSTALLED = "not installed"
NO_GPU_TO_RUN = " (builds engines; no GPU to run them with)"
NOT_BY_PIP = "one that pip did not install"


@dataclass(frozen=True)
class Finding:
    """One line of the answer.

    Attributes:
        part: what was looked for.
        ok: it is here and works.
        found: its version or name, or what is wrong.
        fix: what mends it, a command where one does; empty where nothing is to be done.
        purpose: what it is needed for.
    """

    part: str
    ok: bool
    found: str
    fix: str = ""
    purpose: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing but the options that every command has."""


def run(arguments: argparse.Namespace) -> int:
    """Look at everything, then print one table, or one JSON object."""
    findings = examine(os.environ)
    ready = can_run(findings)
    if arguments.json:
        print_json(
            {
                "ready": ready,
                "python": platform.python_version(),
                "platform": platform.platform(),
                "processor": machine.processor(),
                "processors": os.cpu_count(),
                "jetson": machine.jetson(),
                "bundles": shipped_bundles(),
                "findings": [dataclasses.asdict(finding) for finding in findings],
            }
        )
    else:
        _print(findings, ready)
    return 0 if ready else NOTHING_TO_DO_IT_WITH


def examine(environment: Mapping[str, str]) -> list[Finding]:
    """Every part that running, training or export may need, in the order in which they are printed.

    Args:
        environment: where ``DISPLAY`` and ``WAYLAND_DISPLAY`` tell which OpenCV to advise.
    """
    gpus, jetson = machine.gpus(), machine.jetson()
    has_gpu = bool(gpus) or jetson is not None
    return [
        Finding(
            "GPU",
            bool(gpus),
            "; ".join(map(str, gpus)) or "none that the driver shows",
            "",
            "the GPU backends",
        ),
        Finding("Jetson", jetson is not None, jetson or "no", "", "the GPU backends of JetPack"),
        opencv(environment),
        _package("tokenizers", "tokenizers", "pip install cnnrnn", "running"),
        onnx_runtime(jetson is not None),
        cuda_provider(has_gpu, jetson is not None),
        tensorrt(has_gpu, jetson is not None),
        tensorrt_rtx(has_gpu, jetson is not None),
        _gpu_package("cuda.core", "cuda.core", CUDA_CORE, has_gpu, "the search on a GPU"),
        _gpu_package(
            "PyCUDA", "pycuda", "pip install 'cnnrnn[pycuda]'", has_gpu, "the same, instead of cuda.core"
        ),
        _package("PyTorch", "torch", "pip install 'cnnrnn[train]'", "training and export"),
        _package("ONNX", "onnx", "pip install onnx", "search options beyond lengths and beams; export"),
        _package("ONNX Script", "onnxscript", "pip install 'cnnrnn[export]'", "export"),
        _package("pycocoevalcap", "pycocoevalcap", "pip install 'cnnrnn[eval]'", "evaluation"),
    ]


def can_run(findings: list[Finding]) -> bool:
    """Whether a bundle can be run: OpenCV, the tokenizer and an engine are here."""
    here = {finding.part for finding in findings if finding.ok}
    return {"OpenCV", "tokenizers", "ONNX Runtime"} <= here


def opencv(environment: Mapping[str, str]) -> Finding:
    """OpenCV, of which exactly one of two packages may be installed."""
    part, purpose = "OpenCV", "reading pictures"
    display = bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))
    install = f"pip install {OPENCV_WHEELS[0] if display else OPENCV_WHEELS[1]}"
    installed = machine.distribution_version(*OPENCV_WHEELS)
    remove = f"pip uninstall -y {' '.join(installed)}"
    if len(installed) == 2:
        return Finding(part, False, _overwritten(installed), f"{remove} && {install}", purpose)
    error = machine.module_error("cv2")
    if error is None:
        return Finding(part, True, _versions(installed), "", purpose)
    if not installed:
        return Finding(part, False, NOT_INSTALLED, install, purpose)
    return Finding(part, False, error, f"{remove} && {install}", purpose)


def onnx_runtime(on_jetson: bool) -> Finding:
    """ONNX Runtime, from either of its packages."""
    part, purpose = "ONNX Runtime", "backend ort-cpu"
    installed = machine.distribution_version(*ONNX_RUNTIME_WHEELS)
    if len(installed) == 2:
        fix = _onnx_runtime_for_a_gpu(" ".join(installed), on_jetson)
        return Finding(part, False, _overwritten(installed), fix, purpose)
    if not machine.module_found("onnxruntime"):
        return Finding(part, False, NOT_INSTALLED, "pip install 'cnnrnn[cpu]'", purpose)
    error = machine.module_error("onnxruntime")
    if error is not None:
        broken = next(iter(installed), "onnxruntime")
        fix = f"pip install --force-reinstall {broken}"
        if on_jetson and broken == "onnxruntime-gpu":
            fix = _onnx_runtime_for_a_gpu(broken, on_jetson)
        return Finding(part, False, error, fix, purpose)
    return Finding(part, True, _versions(installed), "", purpose)


def cuda_provider(has_gpu: bool, on_jetson: bool) -> Finding:
    """ONNX Runtime's CUDA provider."""
    ok = "CUDAExecutionProvider" in machine.onnxruntime_providers()
    fix = _onnx_runtime_for_a_gpu("onnxruntime", on_jetson) if has_gpu and not ok else ""
    found = "in this ONNX Runtime" if ok else "not in this ONNX Runtime"
    return Finding("CUDA provider", ok and has_gpu, found + _without_gpu(has_gpu), fix, "backend ort-cuda")


def _onnx_runtime_for_a_gpu(instead_of: str, on_jetson: bool) -> str:
    remove = f"pip uninstall -y {instead_of}"
    return f"{remove}, then {JETSON_ONNX_RUNTIME}" if on_jetson else f"{remove} && pip install 'cnnrnn[gpu]'"


def tensorrt(has_gpu: bool, on_jetson: bool) -> Finding:
    """TensorRT, which JetPack brings and pip installs elsewhere."""
    finding = _library(TENSORRT, "backend tensorrt", on_jetson)
    return finding if has_gpu else _of_no_use(finding)


def tensorrt_rtx(has_gpu: bool, on_jetson: bool) -> Finding:
    """TensorRT-RTX, which builds engines without a GPU too; its bare bindings are enough."""
    purpose = "backend tensorrt-rtx; builds engines without a GPU too"
    if on_jetson:
        return Finding(TITLES[TENSORRT_RTX], False, "not for a Jetson: TensorRT is", "", purpose)
    finding = _library(TENSORRT_RTX, purpose, on_jetson)
    if has_gpu:
        return finding
    return dataclasses.replace(finding, found=finding.found + NO_GPU_TO_RUN) if finding.ok else finding


def _library(name: LibraryName, purpose: str, on_jetson: bool) -> Finding:
    """TensorRT or TensorRT-RTX, imported as the builder does: a version that it refuses is no good here."""
    try:
        return Finding(TITLES[name], True, load_library(name).version, "", purpose)
    except MissingDependencyError as error:
        advice = install_advice(name)
        # The message ends in its fix: the advice, or for a version that is too new a sentence of its own.
        said = str(error).removesuffix(advice).rstrip(". ")
        found, fix = (said, advice) if said != str(error) else said.rsplit(". ", 1)
        found = found.removeprefix(f"{TITLES[name]} is ")
        if error.__cause__ is not None:  # it is installed, and without the option pip would leave it as it is
            fix = fix.replace("pip install ", "pip install --force-reinstall ")
        elif on_jetson and fix == advice and found != NOT_INSTALLED:
            fix = JETSON_TENSORRT
        return Finding(TITLES[name], False, found, fix.removeprefix("Install it with: "), purpose)


def _gpu_package(part: str, module: str, install: str, has_gpu: bool, purpose: str) -> Finding:
    found = _package(part, module, install, purpose)
    return found if has_gpu else _of_no_use(found)


def _of_no_use(finding: Finding) -> Finding:
    return dataclasses.replace(finding, ok=False, found=finding.found + _without_gpu(False), fix="")


def _package(part: str, module: str, install: str, purpose: str) -> Finding:
    if not machine.module_found(module):
        return Finding(part, False, NOT_INSTALLED, install, purpose)
    versions = machine.distribution_version(module, re.sub("[_.]", "-", module)).values()
    return Finding(part, True, next(iter(versions), NOT_BY_PIP), "", purpose)


def _versions(installed: Mapping[str, str], between: str = ", ") -> str:
    return between.join(f"{name} {version}" for name, version in installed.items()) or NOT_BY_PIP


def _overwritten(installed: Mapping[str, str]) -> str:
    return f"{_versions(installed, ' and ')} overwrite each other's files"


def _without_gpu(has_gpu: bool) -> str:
    return "" if has_gpu else " (and no GPU to use it with)"


def _print(findings: list[Finding], ready: bool) -> None:
    print_line(f"Python {platform.python_version()} on {platform.platform()}")
    print_line(f"{machine.processor()}, {os.cpu_count()} processors")
    print_line(f"bundles shipped: {', '.join(shipped_bundles()) or 'none'}")
    print_line()
    rows = [("yes" if item.ok else "no", item.part, item.found, f"for {item.purpose}") for item in findings]
    for line in table(rows):
        print_line(line)
    fixes = [(item.part, item.fix) for item in findings if item.fix]
    if fixes:
        print_line("\nTo get what is missing:")
        for line in table([(f"  {part}", fix) for part, fix in fixes]):
            print_line(line)
    print_line()
    print_line("This machine can run bundles." if ready else "This machine cannot run bundles yet.")
