"""What may be chosen about a build, and what each TensorRT lacks of it: refused by name, before any work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from cnnrnn.core.errors import MissingDependencyError, OptionsError
from cnnrnn.runtime.engine.device import Device
from cnnrnn.runtime.engine.library import TENSORRT, TENSORRT_RTX, Library, on_jetson

# By level its member of HardwareCompatibilityLevel.
HARDWARE_LEVELS = {"ampere+": "AMPERE_PLUS", "same": "SAME_COMPUTE_CAPABILITY"}
MAX_WORKSPACE_MIB = 1024**2
MAX_OPTIMIZATION_LEVEL = 5

_CAPABILITY = re.compile(r"\d{1,2}\.\d")
_AMPERE = (8, 0)


@dataclass(frozen=True)
class BuildOptions:
    """How engines are built. None, or nothing, leaves the choice to TensorRT.

    Attributes:
        compute_capabilities: the GPUs to build for, ``("7.5", "8.6")``: this machine's by default; where it
            has none, TensorRT-RTX builds one engine for every GPU from 8.0 on that it knows.
        workspace_mib: the most scratch memory that a layer may use, in MiB of the GPU's.
        optimization_level: 0 to 5; higher searches longer for faster kernels.
        hardware_compatible: ``"ampere+"``, an engine for every GPU from compute capability 8.0 on, or
            ``"same"``, for every GPU of this one's compute capability; both may be slower.
        version_compatible: an engine that newer versions of the same major version run too; may be slower.
        tf32: products of float32 may round what they multiply to 10 bits of mantissa, as float16 has: faster
            on compute capability 8.0 and newer, and no longer what the graph says.
        refit: weights can be exchanged in the built engine as long as the graph stays the same.
        timing_cache: keep what the builder measured of layers for the next build.
    """

    compute_capabilities: tuple[str, ...] = ()
    workspace_mib: int | None = None
    optimization_level: int | None = None
    hardware_compatible: str | None = None
    version_compatible: bool = False
    tf32: bool = False
    refit: bool = False
    timing_cache: bool = True

    def __post_init__(self) -> None:
        for capability in self.compute_capabilities:
            if not isinstance(capability, str) or not _CAPABILITY.fullmatch(capability):
                raise OptionsError(f"compute capability {capability!r} is no version; write it as 8.6")
        _check_number("workspace_mib", self.workspace_mib, 1, MAX_WORKSPACE_MIB)
        _check_number("optimization_level", self.optimization_level, 0, MAX_OPTIMIZATION_LEVEL)
        if self.hardware_compatible is not None and self.hardware_compatible not in HARDWARE_LEVELS:
            raise OptionsError(
                f"hardware_compatible={self.hardware_compatible!r} is unknown; known are "
                f"{', '.join(HARDWARE_LEVELS)}"
            )
        object.__setattr__(self, "compute_capabilities", _in_order(self.compute_capabilities))

    def items(self) -> tuple[tuple[str, object], ...]:
        """What an engine depends on beside its target, as sorted pairs of what was chosen: for its key.

        The timing cache is not in it: an engine is as good with it as without.
        """
        pairs = {
            "workspace_mib": self.workspace_mib,
            "optimization_level": self.optimization_level,
            "hardware_compatible": self.hardware_compatible,
            "version_compatible": self.version_compatible or None,
            "tf32": self.tf32 or None,
            "refit": self.refit or None,
        }
        return tuple(sorted((name, value) for name, value in pairs.items() if value is not None))

    @property
    def architecture(self) -> str:
        """The target in a word: ``"sm86"``, ``"sm75+sm86"``."""
        return "+".join(f"sm{capability.replace('.', '')}" for capability in self.compute_capabilities)


def check(options: BuildOptions, library: Library, device: Device | None = None) -> BuildOptions:
    """Refuse what this library lacks; to be called before any work.

    Args:
        device: this machine's GPU; None without one, or without a driver.

    Returns:
        The options with ``compute_capabilities`` filled in.

    Raises:
        OptionsError: naming the option, the version and what has it.
        MissingDependencyError: TensorRT proper without a GPU; exit code 3.
    """
    problems = list(_lacking(options, library, device))
    if problems:
        raise OptionsError(f"{library.title} cannot build this: {'; '.join(problems)}")
    if library.ahead_of_time:
        return _ahead_of_time_target(options, library, device)
    return _this_machine_target(options, library, device)


def known_capabilities(library: Library) -> list[str]:
    """The compute capabilities that this TensorRT-RTX compiles for, the oldest first."""
    members = dir(getattr(library.module, "ComputeCapability", None))
    names = [name for name in members if re.fullmatch(r"SM\d{2,3}", name)]
    return sorted((f"{name[2:-1]}.{name[-1]}" for name in names), key=_version)


def _lacking(options: BuildOptions, library: Library, device: Device | None) -> Iterator[str]:
    rtx = library.name == TENSORRT_RTX
    level = options.hardware_compatible
    if options.optimization_level is not None and rtx:
        yield (
            "optimization_level has no effect in TensorRT-RTX, which makes its kernels where the engine "
            "runs; leave it out, or use tensorrt"
        )
    if level is not None and rtx:
        yield (
            "hardware_compatible is not in TensorRT-RTX; give several compute_capabilities instead, or use "
            "tensorrt"
        )
    elif level is not None and not library.has(f"HardwareCompatibilityLevel.{HARDWARE_LEVELS[level]}"):
        yield f"hardware_compatible={level!r} is not in this version; TensorRT 10.13 has it"
    elif level == "ampere+" and device is not None and _version(device.compute_capability) < _AMPERE:
        yield (
            f"hardware_compatible={level!r} is for GPUs from compute capability 8.0 on, and this machine's "
            f"{device.name} has {device.compute_capability}; leave it out, or build on such a GPU"
        )
    elif level is not None and on_jetson():
        yield "hardware_compatible is not supported on a Jetson; leave it out, or build on a desktop GPU"
    if options.version_compatible and rtx:
        yield (
            "version_compatible is not in TensorRT-RTX, whose engines run with the release that built them; "
            "leave it out, or use tensorrt"
        )
    if options.refit and rtx and device is None:
        yield (
            "refit needs a GPU and its driver while TensorRT-RTX builds, and none was found; leave it out, "
            "or build on a machine with a GPU"
        )
    if options.refit and library.name == TENSORRT and library.release[:2] == (11, 3):
        yield (
            "refit can drop the bias of a matrix product in 11.3, as its release notes say; leave it out, or "
            "use another version"
        )


def _ahead_of_time_target(options: BuildOptions, library: Library, device: Device | None) -> BuildOptions:
    known = known_capabilities(library)
    wanted = options.compute_capabilities
    if not wanted and device is not None:
        wanted = (device.compute_capability,)
    if not wanted:
        wanted = tuple(capability for capability in known if _version(capability) >= _AMPERE)
    unknown = [capability for capability in wanted if capability not in known]
    if unknown:
        raise OptionsError(
            f"{library.title} does not build for compute capability {unknown[0]}; it knows {', '.join(known)}"
        )
    return replace(options, compute_capabilities=wanted)


def _this_machine_target(options: BuildOptions, library: Library, device: Device | None) -> BuildOptions:
    if device is None:
        raise MissingDependencyError(
            f"{library.title} builds engines on the GPU they are for, and this machine has no NVIDIA GPU "
            "with a driver. Build on the machine that will run them, or ahead of time with --backend "
            "tensorrt-rtx",
            name="libcuda",
        )
    others = [
        capability for capability in options.compute_capabilities if capability != device.compute_capability
    ]
    if others:
        raise OptionsError(
            f"{library.title} builds for this machine's {device.name} ({device.compute_capability}) alone, "
            f"not for compute capability {others[0]}; build on such a GPU, or with --backend tensorrt-rtx"
        )
    return replace(options, compute_capabilities=(device.compute_capability,))


def _check_number(name: str, value: object, least: int, most: int) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise OptionsError(f"{name}={value!r} is outside {least} to {most}")


def _in_order(capabilities: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(capabilities), key=_version))


def _version(capability: str) -> tuple[int, int]:
    major, minor = capability.split(".")
    return int(major), int(minor)
