"""The loaded model: call it with pictures, `close` it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from cnnrnn.core.errors import ClosedError, ImageError, NotFiniteError, OptionsError
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import SearchOptions, SearchSettings, check_batch, check_names, options_for
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.runtime.ahead import in_order
from cnnrnn.runtime.answers import Answers
from cnnrnn.runtime.backend import Backend
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.device.names import DEVICE_BACKENDS
from cnnrnn.runtime.frame import DeviceFrame
from cnnrnn.runtime.image import Color, check_color
from cnnrnn.runtime.loop import History, Searches, Searching, SpecialTokens, begin, prepare
from cnnrnn.runtime.picture import FrameSource, Taken, take
from cnnrnn.runtime.result import Result
from cnnrnn.runtime.select import SelectKind
from cnnrnn.runtime.stream import Stream

if TYPE_CHECKING:
    from typing_extensions import Unpack

# Only these two types mean several pictures: bytes are a sequence too. A list is invariant, hence Any.
_Pictures = list[Any] | tuple[FrameSource, ...]

# What stands in the place of a picture's answer with errors="return".
Failure: TypeAlias = ImageError | NotFiniteError

# Pictures that go through the graphs together; a longer list goes in parts, so that memory stays bounded.
MAX_BATCH = 16


# A picture and its place among those of a call; and a batch of them, whose search has begun.
_Entry: TypeAlias = tuple[int, Taken]
_Begun: TypeAlias = tuple[Sequence[_Entry], Searching, Clock]


@dataclass(frozen=True)
class _Ready:
    """A call whose options are checked and whose graphs are there."""

    backend: Backend | Searches
    search: SearchOptions
    kind: SelectKind
    color: Color

    def check_frame(self, frame: DeviceFrame) -> None:
        """Refuse a frame that the backend cannot read."""
        if not isinstance(self.backend, Searches):
            raise ImageError(
                f"{frame.what} lies on a GPU, and the backend {self.backend.name} reads pictures of the "
                f"host; load the model with backend={' or '.join(map(repr, DEVICE_BACKENDS))}, or copy the "
                "frame to the host: `.cpu().numpy()` of torch's, `.get()` of others"
            )
        self.backend.check_frame(frame)

    @property
    def ahead(self) -> int:
        """How many searches to begin before the first one's answer is waited for."""
        return int(isinstance(self.backend, Searches) and self.backend.overlaps)


class CallOptions(SearchSettings, total=False):
    """What a call of a model may be given beside the pictures; see `Model.__call__`."""

    color: Color


class Model:
    """A loaded captioner. Safe to call from several threads; use it as a context manager, or `close` it.

    Args:
        backend: runs the graphs; the model closes it.
        manifest, tokenizer: the bundle's.
    """

    def __init__(self, backend: Backend | Searches, manifest: Manifest, tokenizer: Tokenizer) -> None:
        self.manifest = manifest
        self.tokenizer = tokenizer
        self._backend: Backend | Searches | None = backend
        self._special = SpecialTokens(manifest.vocabulary.start, manifest.vocabulary.end)
        self._answers = Answers(manifest, tokenizer)

    @overload
    def __call__(
        self, images: FrameSource, *, errors: Literal["raise"] = ..., **options: Unpack[CallOptions]
    ) -> Result: ...

    @overload
    def __call__(
        self, images: FrameSource, *, errors: Literal["return"], **options: Unpack[CallOptions]
    ) -> Result | Failure: ...

    @overload
    def __call__(
        self, images: _Pictures, *, errors: Literal["raise"] = ..., **options: Unpack[CallOptions]
    ) -> list[Result]: ...

    @overload
    def __call__(
        self, images: _Pictures, *, errors: Literal["return"], **options: Unpack[CallOptions]
    ) -> list[Result | Failure]: ...

    def __call__(
        self,
        images: FrameSource | _Pictures,
        *,
        errors: Literal["raise", "return"] = "raise",
        **options: Unpack[CallOptions],
    ) -> Result | Failure | Sequence[Result | Failure]:
        """Caption one picture, or a list of pictures of any sizes.

        Args:
            images: see `cnnrnn.runtime.image.read_image` for what a picture may be; on a GPU's backend also a
                frame that is on that GPU, see `cnnrnn.runtime.frame`. Its memory has to stay as it is until
                the answer is there, unless its interface names the stream that it is written on.
            errors: ``"raise"``, or ``"return"`` to get the error in the place of a picture that cannot be
                read, or whose logits are not finite, and answers for the others.
            options: ``color``, the order of channels of pictures given as arrays (``"bgr"`` by default), and
                those of the search: `cnnrnn.core.search.SearchOptions` says what each means. What is not
                given, or None, is the bundle's default; ``n_best`` then is every hypothesis. ``prefix`` may
                be a text, or a text for each picture.

        Returns:
            A `Result`, or a list of them in the order of the pictures. Pictures of a list are decoded
            together; the tokens are those of single runs.

        Raises:
            ImageError: a picture cannot be read; nothing has been decoded then.
            NotFiniteError: a picture's logits are NaN or infinite.
            OptionsError: an option is out of its limits, two contradict each other, or the list is empty;
                known before any work.
            ClosedError: the model is closed.
            BackendError: a graph failed.
        """
        ready = self._ready(options, also=("errors",))
        clock = Clock()
        _check_errors(errors)
        several = isinstance(images, (list, tuple))
        if several and not images:
            raise OptionsError("images is an empty list; give one picture or more")
        sources: Sequence[FrameSource] = images if isinstance(images, (list, tuple)) else (images,)
        check_batch(ready.search, len(sources))
        answers = self._caption(ready, sources, clock, raises=errors == "raise")
        return answers if several else answers[0]

    def map(
        self,
        images: Iterable[FrameSource],
        *,
        errors: Literal["raise", "return"] = "raise",
        **options: Unpack[CallOptions],
    ) -> Iterator[Result | Failure]:
        """Caption pictures as they come, one at a time: a camera's frames.

        On a GPU the next picture is begun before the last one's answer is waited for, so that its encoder
        runs beside the other's search, and an answer comes one picture late. Elsewhere each is answered
        before the next is asked for.

        Args:
            images, errors, options: as in a call of the model; ``deadline_ms`` is each picture's own.

        Returns:
            An iterator of an answer for each picture, in their order.

        Raises:
            OptionsError, ClosedError: at once. The iterator raises what a call of the model does.
        """
        ready = self._ready(options, also=("errors",))
        _check_errors(errors)
        check_batch(ready.search, 1)

        def begun(index: int, source: FrameSource) -> tuple[int, _Begun | ImageError]:
            clock = Clock()
            try:
                picture = take(source, ready.color, self.manifest.image, ready.check_frame)
            except ImageError as error:
                return index, ImageError(f"picture {index + 1}: {error}")
            stages = Clock(before_ms=clock.total_ms)
            return index, ([(index, picture)], self._search(ready, [picture], ready.search, stages), stages)

        def answer(index: int, search: _Begun | ImageError) -> Result | Failure:
            found: Result | Failure
            if isinstance(search, ImageError):
                found = search
            else:
                ((_, picture),), searching, stages = search
                history = searching.history()
                found = self._answers.of(ready.backend, picture, history, 0, stages, f"picture {index + 1}")
            if errors == "raise" and not isinstance(found, Result):
                raise found
            return found

        beginnings = (partial(begun, index, source) for index, source in enumerate(images))
        searches = in_order(beginnings, ready.ahead, lambda entry: _let_go(entry[1]))
        return (answer(index, search) for index, search in searches)

    def stream(self, image: FrameSource, **options: Unpack[CallOptions]) -> Stream:
        """Caption one picture, and give its tokens as soon as they are settled.

        A token is settled when every hypothesis that can still win has it: the live ones and the best of the
        finished. It is never taken back, whatever the beam width.

        Args:
            image, options: as in a call of the model.

        Returns:
            An iterator of `Settled` pieces, whose texts together are the answer's; after the last one its
            ``result`` is the `Result`. Steps are taken as pieces are asked for.

        Raises:
            As a call of the model; `NotFiniteError` and other errors of the backend come from the iterator.
        """
        ready = self._ready(options)
        clock = Clock()
        check_batch(ready.search, 1)
        picture = take(image, ready.color, self.manifest.image, ready.check_frame)
        stages = Clock(before_ms=clock.total_ms)

        def result(history: History) -> Result:
            answer = self._answers.of(ready.backend, picture, history, 0, stages, "the picture")
            if isinstance(answer, NotFiniteError):
                raise answer
            return answer

        search = begin(
            ready.backend, [picture.pixels], ready.search, self._special, stages, ready.kind, streams=True
        )
        return Stream(search, self.tokenizer, result)

    def phrases(self, texts: Iterable[str]) -> Phrases:
        """The option ``phrases`` of these texts, as the model's tokenizer spells them; keep it.

        Raises:
            OptionsError: there is none, or one cannot be spelt.
        """
        return Phrases.of_texts(texts, self.tokenizer)

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

    def _open_backend(self) -> Backend | Searches:
        backend = self._backend
        if backend is None:
            raise ClosedError(f"the model {self.manifest.name!r} is closed; load it again")
        return backend

    def _ready(self, options: CallOptions, also: tuple[str, ...] = ()) -> _Ready:
        """Everything that can be refused before the first picture is read; ``also`` are names known too."""
        backend = self._open_backend()
        check_names(options, {*CallOptions.__optional_keys__, *also})
        settings: dict[str, Any] = dict(options)
        color: Color = settings.pop("color", "bgr")
        settings["prefix"] = self._spelt(settings.get("prefix"))
        search = options_for(self.manifest, **settings)
        check_color(color)
        return _Ready(backend, search, prepare(backend, search, self._special), color)

    def _spelt(self, prefix: Any) -> Any:
        """The option ``prefix`` with token ids for its texts."""
        if isinstance(prefix, str):
            return self.tokenizer.spell(prefix, "prefix")
        if not isinstance(prefix, (list, tuple)):
            return prefix
        return [
            self.tokenizer.spell(entry, f"prefix[{place}]") if isinstance(entry, str) else entry
            for place, entry in enumerate(prefix)
        ]

    def _caption(
        self, ready: _Ready, sources: Sequence[FrameSource], clock: Clock, *, raises: bool
    ) -> list[Result | Failure]:
        """All pictures are read before the first is captioned: an error that is raised costs no work."""
        answers: dict[int, Result | Failure] = {}
        pictures: list[_Entry] = []
        for index, source in enumerate(sources):
            try:
                pictures.append((index, take(source, ready.color, self.manifest.image, ready.check_frame)))
            except ImageError as error:
                if len(sources) > 1:
                    error = ImageError(f"picture {index + 1} of {len(sources)}: {error}")
                if raises:
                    raise error from None
                answers[index] = error
        for part, search, stages in self._begun(ready, pictures, clock):
            history = search.history()
            for row, (index, picture) in enumerate(part):
                what = f"picture {index + 1} of {len(sources)}" if len(sources) > 1 else "the picture"
                answers[index] = self._answers.of(ready.backend, picture, history, row, stages, what)
            for index, _ in part:
                answer = answers[index]
                if raises and isinstance(answer, NotFiniteError):
                    raise answer
        return [answers[index] for index in range(len(sources))]

    def _begun(self, ready: _Ready, pictures: Sequence[_Entry], clock: Clock) -> Iterator[_Begun]:
        """The searches for all pictures, a batch each, in order."""

        def begun(part: Sequence[_Entry]) -> _Begun:
            options = ready.search.of_images([index for index, _ in part])
            stages = Clock(before_ms=clock.total_ms)
            return part, self._search(ready, [picture for _, picture in part], options, stages), stages

        parts = (pictures[first : first + MAX_BATCH] for first in range(0, len(pictures), MAX_BATCH))
        return in_order((partial(begun, part) for part in parts), ready.ahead, _let_go)

    def _search(
        self, ready: _Ready, pictures: Sequence[Taken], options: SearchOptions, stages: Clock
    ) -> Searching:
        pixels = [picture.pixels for picture in pictures]
        return begin(ready.backend, pixels, options, self._special, stages, ready.kind)


def _check_errors(errors: str) -> None:
    if errors not in ("raise", "return"):
        raise OptionsError(f"errors={errors!r} is unknown; give 'raise' or 'return'")


def _let_go(begun: _Begun | ImageError) -> None:
    """Nobody asks for the answer."""
    if not isinstance(begun, ImageError):
        begun[1].abandon()
