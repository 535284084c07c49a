"""Tell what this machine can run, and the exact command for what is missing.

Exit code 0 where a bundle can be run here with at least one engine, else 3.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass

from cnnrnn.cli import machine
from cnnrnn.cli.output import print_json, print_line, table
from cnnrnn.core.bundle import shipped_bundles

NOTHING_TO_DO_IT_WITH = 3
OPENCV_WHEELS = ("opencv-python", "opencv-python-headless")
ONNX_RUNTIME_WHEELS = ("onnxruntime", "onnxruntime-gpu")
RTX_MODULES = ("tensorrt_rtx", "tensorrt_rtx_bindings")
RTX_WHEELS = (
    "tensorrt-rtx",
    "tensorrt-rtx-cu13",
    "tensorrt-rtx-cu12",
    "tensorrt-rtx-cu13-bindings",
    "tensorrt-rtx-cu12-bindings",
)
NO_GPU_TO_RUN = " (builds engines; no GPU to run them with)"
NOT_BY_PIP = "one that pip did not install"


@dataclass(frozen=True)
class Finding:
    """One line of the answer.

    Attributes:
        part: what was looked for.
        ok: it is here and works.
        found: its version or name, or what is wrong.
        fix: the command that mends it; empty where nothing is to be done.
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
        onnx_runtime(),
        cuda_provider(has_gpu, jetson is not None),
        tensorrt(has_gpu, jetson is not None),
        tensorrt_rtx(has_gpu),
        _gpu_package("PyCUDA", "pycuda", "pycuda", has_gpu, "PyCUDA's frames and streams"),
        _package("PyTorch", "torch", "pip install 'cnnrnn[train]'", "training and export"),
        _package("ONNX", "onnx", "pip install 'cnnrnn[export]'", "export"),
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
        return Finding(part, False, "not installed", install, purpose)
    return Finding(part, False, error, f"{remove} && {install}", purpose)


def onnx_runtime() -> Finding:
    """ONNX Runtime, from either of its packages."""
    part, purpose = "ONNX Runtime", "backend ort-cpu"
    installed = machine.distribution_version(*ONNX_RUNTIME_WHEELS)
    if len(installed) == 2:
        fix = f"pip uninstall -y {' '.join(installed)} && pip install 'cnnrnn[gpu]'"
        return Finding(part, False, _overwritten(installed), fix, purpose)
    if not machine.module_found("onnxruntime"):
        return Finding(part, False, "not installed", "pip install 'cnnrnn[cpu]'", purpose)
    error = machine.module_error("onnxruntime")
    if error is not None:
        fix = f"pip install --force-reinstall {next(iter(installed), 'onnxruntime')}"
        return Finding(part, False, error, fix, purpose)
    return Finding(part, True, _versions(installed), "", purpose)


def cuda_provider(has_gpu: bool, on_jetson: bool) -> Finding:
    """ONNX Runtime's CUDA provider."""
    ok = "CUDAExecutionProvider" in machine.onnxruntime_providers()
    fix = ""
    if has_gpu and not ok:
        install = "pip install onnxruntime-gpu" if on_jetson else "pip install 'cnnrnn[gpu]'"
        fix = f"pip uninstall -y onnxruntime && {install}"
    found = "in this ONNX Runtime" if ok else "not in this ONNX Runtime"
    return Finding("CUDA provider", ok and has_gpu, found + _without_gpu(has_gpu), fix, "backend ort-cuda")


def tensorrt(has_gpu: bool, on_jetson: bool) -> Finding:
    """TensorRT, which JetPack brings and pip installs elsewhere."""
    install = "sudo apt-get install nvidia-jetpack" if on_jetson else "pip install 'cnnrnn[tensorrt]'"
    return _gpu_finding("TensorRT", "tensorrt", install, has_gpu, "backend tensorrt")


def tensorrt_rtx(has_gpu: bool) -> Finding:
    """TensorRT-RTX, which builds engines without a GPU too; its bare bindings are enough."""
    part, purpose = "TensorRT-RTX", "backend tensorrt-rtx; builds engines without a GPU too"
    module = next(filter(machine.module_found, RTX_MODULES), None)
    if module is None:
        return _gpu_package(part, RTX_MODULES[0], "tensorrt-rtx", has_gpu, purpose)
    version = next(iter(machine.distribution_version(*RTX_WHEELS).values()), NOT_BY_PIP)
    return Finding(part, has_gpu, version + ("" if has_gpu else NO_GPU_TO_RUN), "", purpose)


def _gpu_package(part: str, module: str, extra: str, has_gpu: bool, purpose: str) -> Finding:
    return _gpu_finding(part, module, f"pip install 'cnnrnn[{extra}]'", has_gpu, purpose)


def _gpu_finding(part: str, module: str, install: str, has_gpu: bool, purpose: str) -> Finding:
    found = _package(part, module, install, purpose)
    if has_gpu:
        return found
    return dataclasses.replace(found, ok=False, found=found.found + _without_gpu(has_gpu), fix="")


def _package(part: str, module: str, install: str, purpose: str) -> Finding:
    if not machine.module_found(module):
        return Finding(part, False, "not installed", install, purpose)
    versions = machine.distribution_version(module, module.replace("_", "-")).values()
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
