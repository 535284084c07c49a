"""The pictures that the gates decode: a folder of the user's, or those shipped with the package."""

from __future__ import annotations

import logging
from pathlib import Path

from cnnrnn.core.errors import ImageError, OptionsError
from cnnrnn.core.manifest import ImageSpec
from cnnrnn.core.samples import pictures_in, sample_pictures, studies_of
from cnnrnn.export.gate_pictures import Pictures
from cnnrnn.runtime.image import fit, read_image
from cnnrnn.runtime.questions import Questions
from cnnrnn.runtime.views import fit_views

_log = logging.getLogger(__name__)


def find_pictures(
    folder: Path | None, least: int, most: int, gate: str = "parity gate"
) -> tuple[list[Path], str]:
    """The files to decode, and a few words that say whose they are.

    Args:
        folder: a folder, searched with everything under it; None for the shipped samples.
        least: how many there must be.
        most: of more than this, as many are taken, evenly spread over their sorted names.
        gate: what needs them, for the message.

    Raises:
        OptionsError: the folder does not exist or holds too few pictures.
    """
    if folder is not None and not folder.is_dir():
        raise OptionsError(f"pictures={str(folder)!r} is no folder; give one with at least {least} pictures")
    found = sample_pictures() if folder is None else pictures_in(folder)
    source = "the shipped samples" if folder is None else f"folder {folder.resolve().name}"
    if len(found) < least:
        raise OptionsError(
            f"{source} has {len(found)} pictures and the {gate} needs {least}; give pictures=, a folder "
            "with at least as many of the kind that the model is for"
        )
    if len(found) > most:
        found = [found[index * len(found) // most] for index in range(most)]
    return found, source


def read_pictures(
    paths: list[Path],
    image: ImageSpec,
    least: int,
    gate: str = "parity gate",
    questions: Questions | None = None,
) -> tuple[Pictures, tuple[str, ...]]:
    """Read the files and bring them to the encoder's size, as the runtime does.

    Args:
        questions: one is asked of each picture, from the first again where there are fewer.

    Returns:
        The pictures, and the names of files that could not be read.

    Raises:
        OptionsError: fewer than ``least`` could be read.
    """
    names, pixels, skipped = [], [], []
    for path, *others in studies_of(paths, image.views):
        try:
            views = [read_image(view) for view in (path, *others)]
            pixels.append(fit(views[0], image) if image.views == 1 else fit_views(views, image))
            names.append(path.name)
        except ImageError as error:
            _log.warning("left out of the %s: %s", gate, error)
            skipped.append(path.name)
    if len(pixels) < least:
        raise OptionsError(
            f"only {len(pixels)} of {len(paths)} pictures could be read and the {gate} needs {least}; "
            f"unreadable are {', '.join(skipped[:3])}; add or repair some"
        )
    asked = questions and questions.rows([number % len(questions) for number in range(len(pixels))])
    return Pictures(names, pixels, asked), tuple(skipped)
