"""The layouts that there are, and `import_checkpoint`: a file of one of them becomes a bundle."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnnrnn.core.bundle import check_target
from cnnrnn.core.errors import OptionsError
from cnnrnn.export.export import ExportOptions, Progress, check_changes, export_bundle, with_changes
from cnnrnn.export.imports import keyed, ruotianluo, sgrvinod
from cnnrnn.export.imports.imported import Imported, ImportOptions
from cnnrnn.export.report import ParityReport

_LONGEST_NAME = 64


@dataclass(frozen=True)
class Layout:
    """One program's way to write its checkpoints.

    Attributes:
        load: from the checkpoint and the options.
        needs: fields of `ImportOptions` that have to be given.
        takes: those that may be, beside the picture's.
    """

    load: Callable[[Path, ImportOptions], Imported]
    needs: tuple[str, ...]
    takes: tuple[str, ...] = ()


LAYOUTS = {
    "sgrvinod": Layout(sgrvinod.load, ("vocabulary",), ("grid",)),
    "ruotianluo": Layout(ruotianluo.load, ("vocabulary", "cnn"), ("options", "cnn_style", "grid")),
    "keys": Layout(keyed.load, ("vocabulary", "keys")),
}
_PICTURE = ("size", "mean", "std", "resize")


def load_checkpoint(
    checkpoint: str | os.PathLike[str], layout: str, options: ImportOptions | None = None
) -> Imported:
    """Read somebody else's checkpoint, without running anything that it holds.

    Args:
        checkpoint: the file.
        layout: one of `LAYOUTS`.
        options: what the file does not say itself.

    Raises:
        OptionsError: no such layout or file, or an option that the layout needs, or has no use for.
        ConfigError: a key map is wrong.
        CheckpointError: a file is damaged, holds pickled objects, or does not fit the layout or another file.
        MissingDependencyError: torchvision or safetensors is not installed.
    """
    options = options or ImportOptions()
    _check(layout, options)
    return LAYOUTS[layout].load(Path(checkpoint), options)


def import_checkpoint(
    checkpoint: str | os.PathLike[str],
    target: str | os.PathLike[str],
    layout: str,
    *,
    options: ImportOptions | None = None,
    progress: Progress | None = None,
    **changes: Any,
) -> ParityReport:
    """Export somebody else's checkpoint.

    Args:
        checkpoint, layout, options: as `load_checkpoint` has them.
        target, progress: as `cnnrnn.export.export_bundle` has them.
        changes: fields of `cnnrnn.export.ExportOptions` to set; those that are None are left as they are.
            The name is the file's, unless one is given.

    Returns:
        The parity gate's report.

    Raises:
        CnnrnnError: as `load_checkpoint` and `cnnrnn.export.export_bundle`.
    """
    check_changes(changes)
    check_target(Path(target))
    imported = load_checkpoint(checkpoint, layout, options)
    source = Path(checkpoint).name
    export = ExportOptions(
        name=_named(source),
        image=imported.image,
        search=imported.search,
        alignment_grid=imported.alignment_grid,
        provenance={"imported_as": layout, "checkpoint": source, **imported.provenance},
    )
    return export_bundle(
        imported.model, imported.tokenizer, target, options=with_changes(export, changes), progress=progress
    )


def _check(layout: str, options: ImportOptions) -> None:
    if layout not in LAYOUTS:
        raise OptionsError(f"layout {layout!r} is unknown; there are {', '.join(LAYOUTS)}")
    if options.grid is not None and min(options.grid) < 1:
        raise OptionsError(f"grid={options.grid} has no positions; give rows and columns from 1 on")
    found = LAYOUTS[layout]
    given = [entry.name for entry in dataclasses.fields(options) if getattr(options, entry.name) is not None]
    if absent := [name for name in found.needs if name not in given]:
        raise OptionsError(f"layout {layout} needs {' and '.join(absent)}; see docs/import.md")
    allowed = (*found.needs, *found.takes, *_PICTURE)
    if other := [name for name in given if name not in allowed]:
        raise OptionsError(
            f"layout {layout} has no use for {', '.join(other)}; it takes {', '.join(allowed)}, so leave "
            "that out"
        )


def _named(file: str) -> str:
    """A bundle's name after a file's: ``BEST_checkpoint_coco.pth.tar`` gives ``BEST_checkpoint_coco``."""
    allowed = re.sub(r"[^A-Za-z0-9_-]+", "-", file.lstrip(".").partition(".")[0])
    return allowed.strip("-_")[:_LONGEST_NAME] or "imported"
