"""Optional dependencies: imported when first needed, and named with their install command when absent."""

from __future__ import annotations

import importlib
from types import ModuleType

from cnnrnn.core.errors import MissingDependencyError


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency.

    Args:
        module: dotted name, such as ``"onnxruntime"``.
        extra: the extra of this distribution that installs it, such as ``"cpu"``.

    Raises:
        MissingDependencyError: the module is not installed (the message holds the pip command), or it is
            installed and cannot be imported (the message holds the import's own error).
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise _broken(module, error) from error
        raise MissingDependencyError(
            f"{top} is not installed. Install it with: pip install 'cnnrnn[{extra}]'", name=top
        ) from error
    except ImportError as error:
        raise _broken(module, error) from error


def require_cv2() -> ModuleType:
    """Import OpenCV, which comes as one of two packages that must never be installed together.

    Raises:
        MissingDependencyError: neither package is installed, or the installed one cannot be loaded
            (``opencv-python`` needs the display's libraries, ``libGL`` among them).
    """
    try:
        return importlib.import_module("cv2")
    except ImportError as error:
        found = "cannot be loaded" if not isinstance(error, ModuleNotFoundError) else "is not installed"
        raise MissingDependencyError(
            f"OpenCV {found} ({error}). Install exactly one of its two packages: "
            "'pip install opencv-python' where there is a display, or "
            "'pip install opencv-python-headless' where there is none (servers, containers). "
            "Both write the folder cv2, so uninstall the one before installing the other.",
            name="cv2",
        ) from error


def _broken(module: str, error: ImportError) -> MissingDependencyError:
    return MissingDependencyError(
        f"{module} is installed but cannot be imported: {error}. "
        f"Reinstall it, or what it needs, and try: python -c 'import {module}'",
        name=module,
    )
