"""Why an entry of the cache is of no use on this machine, in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cnnrnn.core.errors import MissingDependencyError
from cnnrnn.runtime.engine.cache_entry import BUILDER
from cnnrnn.runtime.engine.device import Device, find_device
from cnnrnn.runtime.engine.library import NAMES, TITLES, load_library


@dataclass(frozen=True)
class Present:
    """What engines run on here.

    Attributes:
        libraries: version by name (``"tensorrt"``) of those that are installed.
        device: the GPU; None where there is none, and then no engine is stale for the sake of one.
    """

    libraries: dict[str, str]
    device: Device | None = None

    @staticmethod
    def find(names: Iterable[str] = NAMES) -> Present:
        """Of this machine; of the libraries, only these are imported."""
        libraries = {}
        for name in names:
            try:
                libraries[name] = load_library(name).version
            except MissingDependencyError:
                continue
        return Present(libraries, find_device())


def stale_reason(about: dict[str, Any], present: Present) -> str:
    """Why an entry with this key will not be loaded here; empty where it will.

    The GPU and its driver count for what was built on a GPU; what was built ahead of time is for any driver,
    and may be for another machine.
    """
    library, version = about["library"], about["library_version"]
    title = TITLES.get(library, library)
    installed = present.libraries.get(library)
    if installed is None:
        return f"built by {title} {version}; no {title} is installed here"
    if installed != version:
        return f"built by {title} {version}; {installed} is installed"
    builder = dict(about.get("options", ())).get("builder", BUILDER)  # a timing cache has no options
    if builder != BUILDER:
        return f"built by another version of cnnrnn (builder {builder}; here is {BUILDER})"
    device = present.device
    if device is None or not about.get("driver"):
        return ""
    here = f"sm{device.compute_capability.replace('.', '')}"
    if here not in about["architecture"].split("+"):
        return f"built for {about['architecture']}; the GPU here is {here}"
    if device.driver and about["driver"] != device.driver:
        return f"built under driver {about['driver']}; here is {device.driver}"
    if device.cuda and about["cuda"] and about["cuda"] != device.cuda:
        return f"built under CUDA {about['cuda']}; here is {device.cuda}"
    return ""
