"""`add_precisions`: a bundle that is there gets lower precisions, without the checkpoint it was made of."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from cnnrnn.core.bundle import Bundle, check_target, write_bundle
from cnnrnn.core.errors import OptionsError
from cnnrnn.export.draft import Draft
from cnnrnn.export.gate_questions import bundle_questions
from cnnrnn.export.precision.doctor import Progress
from cnnrnn.export.precision.judging import read_gate_pictures
from cnnrnn.export.precision.options import FULL, LoweringOptions
from cnnrnn.export.precision.prove import prove_precisions
from cnnrnn.export.precision.report import PrecisionReport


def add_precisions(
    bundle: str | os.PathLike[str] | Bundle,
    target: str | os.PathLike[str],
    options: LoweringOptions,
    *,
    pictures: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> dict[str, PrecisionReport]:
    """Lower a bundle's fp32 graphs and, if each precision passes its gate, write the bundle with them.

    Args:
        bundle: a folder, the name of a shipped bundle, or a `Bundle` that is open already; its fp32 graphs,
            its search and all else stay as they are. Precisions that it has and that are not asked for stay.
        target: the folder to write, which may be the bundle's own: it is replaced as a whole, in one rename.
        pictures: a folder for the precision gate; None for the shipped samples.
        progress: called with a stage's name and how much of how much is done.

    Returns:
        The gate's report of each precision, which is also in the manifest's ``parity``.

    Raises:
        OptionsError: no precision, an unknown one, or too few pictures.
        BundleError: the bundle is altered, or has no fp32 graphs.
        PrecisionError: a precision does not say what fp32 says; nothing was written. ``report`` says where.
        StorageError: the disk is full or not writable; what was at ``target`` is there still.
    """
    if not options.precisions:
        raise OptionsError("no precision is given; give precisions=('fp16',), say")
    options.check()
    check_target(Path(target))
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(Path(bundle))
    manifest = opened.manifest
    if FULL not in manifest.precisions:
        raise OptionsError(
            f"bundle {manifest.name!r} has {', '.join(manifest.precisions)} and no {FULL}, which the others "
            "are lowered from; export its checkpoint"
        )
    folder = None if pictures is None else Path(pictures)
    given = read_gate_pictures(folder, manifest.image, options, bundle_questions(opened))
    draft, reports = prove_precisions(Draft.of(opened), options, opened.tokenizer(), given, progress)
    told = {name: report.to_dict() for name, report in reports.items()}
    before = manifest.parity.get("precisions")
    parity = {**manifest.parity, "precisions": {**(before if isinstance(before, dict) else {}), **told}}
    write_bundle(Path(target), dataclasses.replace(draft.manifest, parity=parity), draft.files)
    return reports
