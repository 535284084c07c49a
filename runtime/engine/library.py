"""Which TensorRT is here: TensorRT proper or TensorRT for RTX, from JetPack or from pip.

The Python interfaces of the two are nearly one. What a version has is asked of the module itself
(`Library.has`), so that nothing is claimed that is not there; the numbers below only bound what was tried.
"""

from __future__ import annotations

import importlib
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Literal

from cnnrnn.core.errors import MissingDependencyError, OptionsError

LibraryName = Literal["tensorrt", "tensorrt-rtx"]

TENSORRT: LibraryName = "tensorrt"
TENSORRT_RTX: LibraryName = "tensorrt-rtx"
NAMES: tuple[LibraryName, ...] = (TENSORRT, TENSORRT_RTX)

# The first that is installed is taken: the metapackage's module, or the bare bindings where only these are.
MODULES = {
    TENSORRT: ("tensorrt", "tensorrt_bindings"),
    TENSORRT_RTX: ("tensorrt_rtx", "tensorrt_rtx_bindings"),
}
TITLES = {TENSORRT: "TensorRT", TENSORRT_RTX: "TensorRT-RTX"}
OLDEST = {TENSORRT: (10, 3), TENSORRT_RTX: (1, 7)}
NEWEST_MAJOR = {TENSORRT: 11, TENSORRT_RTX: 1}

TEGRA_RELEASE = Path("/etc/nv_tegra_release")


@dataclass(frozen=True)
class Library:
    """An imported TensorRT.

    Attributes:
        name: ``"tensorrt"`` or ``"tensorrt-rtx"``.
        module: what is called; two libraries of a name and version are equal whatever module it is.
        version: as the module says it, ``"10.3.0"``.
    """

    name: LibraryName
    module: ModuleType = field(repr=False, compare=False)
    version: str

    @property
    def title(self) -> str:
        """The name for a person, with the version: ``TensorRT 10.3.0``."""
        return f"{TITLES[self.name]} {self.version}"

    @property
    def release(self) -> tuple[int, ...]:
        """The version as numbers, (10, 3, 0)."""
        return _numbers(self.version)

    @property
    def ahead_of_time(self) -> bool:
        """Whether it compiles for GPUs that are not in this machine."""
        return self.has("IBuilderConfig.set_compute_capability")

    def has(self, path: str) -> bool:
        """Whether the module has ``"Class.member"``: a class, a method or a member of an enumeration."""
        found: object = self.module
        for part in path.split("."):
            found = getattr(found, part, None)
            if found is None:
                return False
        return True


def load_library(name: str) -> Library:
    """Import TensorRT or TensorRT for RTX.

    Args:
        name: ``"tensorrt"`` or ``"tensorrt-rtx"``.

    Raises:
        OptionsError: another name.
        MissingDependencyError: it is not installed (the message names the extra, and on a Jetson JetPack's
            packages), cannot be imported, or is of a version that was never tried.
    """
    if name not in NAMES:
        raise OptionsError(f"backend={name!r} builds no engines; {' and '.join(NAMES)} do")
    module = _import(name)
    version = str(getattr(module, "__version__", ""))
    library = Library(name, module, version)
    _check_version(library)
    return library


def on_jetson(release: Path = TEGRA_RELEASE) -> bool:
    """Whether this is a Jetson, whose TensorRT comes with JetPack and not from pip."""
    return platform.machine() == "aarch64" and release.is_file()


def _import(name: LibraryName) -> ModuleType:
    for candidate in MODULES[name]:
        try:
            return importlib.import_module(candidate)
        except ModuleNotFoundError as error:
            if error.name != candidate:
                raise _broken(name, candidate, error) from error
        except Exception as error:  # the native library or its driver may refuse in any way
            raise _broken(name, candidate, error) from error
    raise MissingDependencyError(
        f"{TITLES[name]} is not installed. {install_advice(name)}", name=MODULES[name][0]
    )


def install_advice(name: LibraryName) -> str:
    """How to get it on this machine, as one or two sentences."""
    if name == TENSORRT and on_jetson():
        return (
            "JetPack brings it: sudo apt-get install nvidia-jetpack (or python3-libnvinfer alone). It is for "
            "the system's own Python, so make a virtual environment with: python3 -m venv "
            "--system-site-packages"
        )
    return f"Install it with: pip install 'cnnrnn[{name}]'"


def _broken(name: LibraryName, module: str, error: Exception) -> MissingDependencyError:
    return MissingDependencyError(
        f"{TITLES[name]} is installed (module {module}) but cannot be imported: {error}. "
        f"{install_advice(name)}",
        name=module,
    )


def _check_version(library: Library) -> None:
    oldest, newest = OLDEST[library.name], NEWEST_MAJOR[library.name]
    if oldest <= library.release and library.release[0] <= newest:
        return
    title = TITLES[library.name]
    wanted = f"{title} {'.'.join(map(str, oldest))} to {newest}.x"
    fix = (
        install_advice(library.name)
        if library.release < oldest
        else f"Install a newer cnnrnn, or {title} {newest}"
    )
    raise MissingDependencyError(
        f"{library.title} is not supported; this version of cnnrnn builds with {wanted}. {fix}",
        name=library.module.__name__,
    )


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version; a suffix such as ``.post1`` is not looked at."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, match.group().split("."))) if match else ()
