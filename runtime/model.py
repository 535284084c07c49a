"""`load` a bundle, call the `Model`, `close` it."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypedDict, overload

import numpy as np
from numpy.typing import NDArray

from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import BackendError, ClosedError, ImageError, OptionsError
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.search import EarlyStopping, SearchOptions, options_for
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.runtime.backend import Backend
from cnnrnn.runtime.backtrace import Path as TokenPath
from cnnrnn.runtime.backtrace import trace_back
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.image import Color, ImageSource, check_color, fit, read_image
from cnnrnn.runtime.loop import SpecialTokens, decode
from cnnrnn.runtime.ort_cpu import NAME as ORT_CPU
from cnnrnn.runtime.ort_cpu import Graphs, OrtCpuBackend
from cnnrnn.runtime.result import Hypothesis, Result

if TYPE_CHECKING:
    from typing_extensions import Unpack

# Only these two types mean several pictures: bytes are a sequence too. A list is invariant, hence Any.
_Pictures = list[Any] | tuple[ImageSource, ...]

BACKENDS = (ORT_CPU,)

# Pictures that go through the graphs together; a longer list goes in parts, so that memory stays bounded.
MAX_BATCH = 16

_log = logging.getLogger(__name__)


def load(
    bundle: str | os.PathLike[str] | Bundle,
    *,
    backend: str = ORT_CPU,
    precision: str | None = None,
    threads: int | None = None,
) -> Model:
    """Load a bundle for use.

    Args:
        bundle: a folder, the name of a shipped bundle, or a `Bundle` that is open already.
        backend: one of `BACKENDS`.
        precision: one that the bundle carries; ``"fp32"`` where it does, by default, else its first.
        threads: of a CPU backend; by default one per physical core.

    Raises:
        UnknownBundleError: no such folder or name.
        BundleError: a part of the bundle is missing, altered or does not fit.
        OptionsError: an unknown backend, precision or number of threads.
        MissingDependencyError: what the backend needs is not installed.
        BackendError: the backend cannot load a graph.
    """
    if backend not in BACKENDS:
        raise OptionsError(f"backend={backend!r} is unknown; known are {', '.join(BACKENDS)}")
    opened = bundle if isinstance(bundle, Bundle) else Bundle.open(Path(bundle))
    carried = opened.manifest.precisions
    chosen = precision or ("fp32" if "fp32" in carried else next(iter(carried)))
    if chosen not in carried:
        raise OptionsError(
            f"precision={chosen!r} is not in bundle {opened.manifest.name!r}; it has {', '.join(carried)}"
        )
    runner = OrtCpuBackend(Graphs.of(opened, chosen), threads)
    _log.info("loaded %s: %s %s, %d threads", opened.folder, backend, chosen, runner.threads)
    return Model(runner, opened.manifest, opened.tokenizer())


@dataclass(frozen=True)
class _Prepared:
    """A picture that is ready for the encoder, (H, W, 3) RGB, and what it took."""

    pixels: NDArray[np.uint8]
    name: str | None
    stages_ms: dict[str, float]


class _CallOptions(TypedDict, total=False):
    """What a call of a model may be given beside the pictures; see `Model.__call__`."""

    beams: int | None
    max_length: int | None
    min_length: int | None
    length_penalty: float | None
    early_stopping: EarlyStopping | None
    n_best: int | None
    color: Color


class Model:
    """A loaded captioner. Safe to call from several threads; use it as a context manager, or `close` it.

    Args:
        backend: runs the graphs; the model closes it.
        manifest, tokenizer: the bundle's.
    """

    def __init__(self, backend: Backend, manifest: Manifest, tokenizer: Tokenizer) -> None:
        self.manifest = manifest
        self.tokenizer = tokenizer
        self._backend: Backend | None = backend
        self._special = SpecialTokens(manifest.vocabulary.start, manifest.vocabulary.end)

    @overload
    def __call__(
        self, images: ImageSource, *, errors: Literal["raise"] = ..., **options: Unpack[_CallOptions]
    ) -> Result: ...

    @overload
    def __call__(
        self, images: ImageSource, *, errors: Literal["return"], **options: Unpack[_CallOptions]
    ) -> Result | ImageError: ...

    @overload
    def __call__(
        self,
        images: _Pictures,
        *,
        errors: Literal["raise"] = ...,
        **options: Unpack[_CallOptions],
    ) -> list[Result]: ...

    @overload
    def __call__(
        self, images: _Pictures, *, errors: Literal["return"], **options: Unpack[_CallOptions]
    ) -> list[Result | ImageError]: ...

    def __call__(
        self,
        images: ImageSource | _Pictures,
        *,
        beams: int | None = None,
        max_length: int | None = None,
        min_length: int | None = None,
        length_penalty: float | None = None,
        early_stopping: EarlyStopping | None = None,
        n_best: int | None = None,
        color: Color = "bgr",
        errors: Literal["raise", "return"] = "raise",
    ) -> Result | ImageError | list[Result] | list[Result | ImageError]:
        """Caption one picture, or a list of pictures of any sizes.

        Args:
            images: see `cnnrnn.runtime.image.read_image` for what a picture may be.
            beams, max_length, min_length, length_penalty, early_stopping, n_best: see
                `cnnrnn.core.search.SearchOptions`; the bundle's defaults where None, every finished
                hypothesis for ``n_best``.
            color: the order of channels of pictures given as arrays.
            errors: ``"raise"``, or ``"return"`` to get an `ImageError` in the place of a picture that
                cannot be read, and answers for the others.

        Returns:
            A `Result`, or a list of them in the order of the pictures. Pictures of a list are decoded
            together; the tokens are those of single runs.

        Raises:
            ImageError: a picture cannot be read; nothing has been decoded then.
            OptionsError: an option is out of its limits, or the list is empty; known before any work.
            ClosedError: the model is closed.
            BackendError: a graph failed.
        """
        backend = self._open_backend()
        options = options_for(
            self.manifest,
            beams=beams,
            max_length=max_length,
            min_length=min_length,
            length_penalty=length_penalty,
            early_stopping=early_stopping,
            n_best=n_best,
        )
        check_color(color)
        if errors not in ("raise", "return"):
            raise OptionsError(f"errors={errors!r} is unknown; give 'raise' or 'return'")
        backend.prepare(options.beams)
        if isinstance(images, (list, tuple)):
            if not images:
                raise OptionsError("images is an empty list; give one picture or more")
            return self._many(backend, images, options, color, raises=errors == "raise")
        try:
            prepared = self._prepare(images, color)
        except ImageError as error:
            if errors == "raise":
                raise
            return error
        return self._decode(backend, [prepared], options)[0]

    def close(self) -> None:
        """Free the graphs. Calls that are running end well; closing twice does nothing."""
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    def __enter__(self) -> Model:
        self._open_backend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_backend(self) -> Backend:
        backend = self._backend
        if backend is None:
            raise ClosedError(f"the model {self.manifest.name!r} is closed; load it again")
        return backend

    def _many(
        self,
        backend: Backend,
        images: Sequence[ImageSource],
        options: SearchOptions,
        color: Color,
        *,
        raises: bool,
    ) -> list[Result | ImageError]:
        """All pictures are read before the first is captioned: an error that is raised costs no work."""
        answers: dict[int, Result | ImageError] = {}
        ready: list[tuple[int, _Prepared]] = []
        for index, source in enumerate(images):
            try:
                ready.append((index, self._prepare(source, color)))
            except ImageError as error:
                answers[index] = ImageError(f"picture {index} of {len(images)}: {error}")
                if raises:
                    raise answers[index] from error  # type: ignore[misc]
        for first in range(0, len(ready), MAX_BATCH):
            part = ready[first : first + MAX_BATCH]
            results = self._decode(backend, [picture for _, picture in part], options)
            answers.update((index, result) for (index, _), result in zip(part, results, strict=True))
        return [answers[index] for index in range(len(images))]

    def _prepare(self, source: ImageSource, color: Color) -> _Prepared:
        clock = Clock()
        with clock.stage("decode"):
            picture = read_image(source, color)
        with clock.stage("preprocess"):
            pixels = fit(picture, self.manifest.image)
        name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
        return _Prepared(pixels, name, clock.stages_ms)

    def _decode(self, backend: Backend, pictures: list[_Prepared], options: SearchOptions) -> list[Result]:
        """Caption one batch."""
        clock = Clock()
        pixels = np.stack([picture.pixels for picture in pictures])
        history = decode(backend, pixels, options, self._special, clock)
        with clock.stage("backtrace"):
            answers = [
                tuple(self._hypothesis(path) for path in trace_back(history, index, options.n_best))
                for index in range(len(pictures))
            ]
        if not all(answers):
            raise BackendError(
                f"picture {answers.index(())} of a batch of {len(pictures)} got no caption: the decoder's "
                f"logits are not finite in {backend.name} {backend.precision}; try precision='fp32'"
            )
        return [
            Result(
                hypotheses=hypotheses,
                image=picture.name,
                alignment_grid=self.manifest.alignment_grid,
                timings_ms=_timings(picture, clock),
                backend=backend.name,
                precision=backend.precision,
                steps=len(history.tokens),
            )
            for picture, hypotheses in zip(pictures, answers, strict=True)
        ]

    def _hypothesis(self, path: TokenPath) -> Hypothesis:
        tokens = tuple(path.tokens.tolist())
        return Hypothesis(
            text=self.tokenizer.decode(tokens),
            tokens=tokens,
            words=tuple(self.tokenizer.tokens(tokens)),
            logprob=path.logprob,
            score=path.score,
            finished=tokens[-1] in self._special.end,
            token_logprobs=tuple(path.token_logprobs.tolist()),
            alignment=path.alignment,
        )


def _timings(picture: _Prepared, clock: Clock) -> dict[str, float]:
    """The picture's own stages, then the batch's, then what they took together."""
    stages = {**picture.stages_ms, **clock.stages_ms}
    return {**stages, "total": sum(picture.stages_ms.values()) + clock.total_ms}
