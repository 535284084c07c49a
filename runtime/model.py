"""The loaded model: call it with pictures, `close` it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from cnnrnn.core.errors import ClosedError, ImageError, NotFiniteError, OptionsError
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.phrases import Phrases
from cnnrnn.core.search import check_batch
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.runtime.ahead import in_order
from cnnrnn.runtime.answers import Answers
from cnnrnn.runtime.backend import Backend
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.loop import History, Searches, Searching
from cnnrnn.runtime.picture import FrameSource, Taken, take
from cnnrnn.runtime.questions import QuestionReader
from cnnrnn.runtime.ready import CallOptions, Ready, Requests
from cnnrnn.runtime.result import Result
from cnnrnn.runtime.stream import Stream

if TYPE_CHECKING:
    from typing_extensions import Unpack

# Only these two types mean several pictures: bytes are a sequence too. A list is invariant, hence Any.
_Pictures = list[Any] | tuple[FrameSource, ...]

# What stands in the place of a picture's answer with errors="return".
Failure: TypeAlias = ImageError | NotFiniteError

# Pictures that go through the graphs together; a longer list goes in parts, so that memory stays bounded.
MAX_BATCH = 16
# Questions about one picture that go through them together, on a CPU.
MAX_QUESTIONS = 256

# A picture and its place among those of a call; and a batch of them, whose search has begun.
_Entry: TypeAlias = tuple[int, Taken]
_Begun: TypeAlias = tuple[Sequence[_Entry], Searching, Clock]


class Model:
    """A loaded captioner. Safe to call from several threads; use it as a context manager, or `close` it.

    Args:
        backend: runs the graphs; the model closes it.
        manifest, tokenizer: the bundle's.
        reader: of questions, where the bundle is asked any.
    """

    def __init__(
        self,
        backend: Backend | Searches,
        manifest: Manifest,
        tokenizer: Tokenizer,
        reader: QuestionReader | None = None,
    ) -> None:
        self.manifest = manifest
        self.tokenizer = tokenizer
        self._backend: Backend | Searches | None = backend
        self._requests = Requests(manifest, tokenizer, reader)
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
            options: ``color``, the order of channels of pictures given as arrays (``"bgr"`` by default);
                ``question``, of a bundle that answers any, for all pictures or in a list for each;
                ``language``, of a bundle that writes several, likewise, as a code such as ``"uk"`` or
                ``"pt-BR"`` (``"de-AT"`` finds ``"de"``); and those of the search:
                `cnnrnn.core.search.SearchOptions` says what each means. What is not given, or None, is the
                bundle's default; ``n_best`` then is every hypothesis. ``prefix`` may be a text, or a
                text for each picture.

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
        ready.check_batch(len(sources))
        answers = self._caption(ready, sources, clock, raises=errors == "raise")
        return answers if several else answers[0]

    def ask(
        self, image: FrameSource, questions: Sequence[str], **options: Unpack[CallOptions]
    ) -> list[Result]:
        """Answer several questions about one picture, which is encoded once for all of them (on a GPU once
        for every `MAX_BATCH`).

        Args:
            image, options: as in a call of the model.
            questions: one at least.

        Returns:
            A `Result` for each question; the tokens are those of single calls. Questions that went through
            the graphs together have the same ``timings_ms``, those of all of them: they do not add up.

        Raises:
            As a call of the model.
        """
        asked: CallOptions = {
            **options,
            "question": (questions,) if isinstance(questions, str) else questions,
        }
        ready = self._ready(asked)
        clock = Clock()
        check_batch(ready.search, len(ready.asked))
        picture = take(image, ready.color, self.manifest.image, ready.check_frame)

        def begun(indices: Sequence[int]) -> tuple[Sequence[int], Searching, Clock]:
            stages = Clock(before_ms=clock.total_ms)
            return indices, ready.begin([picture.pixels], indices, stages), stages

        size = MAX_BATCH if isinstance(ready.backend, Searches) else MAX_QUESTIONS
        places = range(len(ready.asked))
        parts = (places[first : first + size] for first in range(0, len(places), size))
        results: list[Result] = []
        searches = in_order(
            (partial(begun, part) for part in parts), ready.ahead, lambda one: one[1].abandon()
        )
        for indices, search, stages in searches:
            history = search.history()
            for row, index in enumerate(indices):
                about = ready.about(picture, f"question {index + 1} of {len(places)}", index)
                answer = self._answers.of(ready.backend, about, history, row, stages)
                if isinstance(answer, NotFiniteError):
                    raise answer
                results.append(answer)
        return results

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
        ready.check_batch(1)

        def begun(index: int, source: FrameSource) -> tuple[int, _Begun | ImageError]:
            clock = Clock()
            try:
                picture = take(source, ready.color, self.manifest.image, ready.check_frame)
            except ImageError as error:
                return index, ImageError(f"picture {index + 1}: {error}")
            stages = Clock(before_ms=clock.total_ms)
            return index, ([(index, picture)], ready.begin([picture.pixels], [0], stages), stages)

        def answer(index: int, search: _Begun | ImageError) -> Result | Failure:
            found: Result | Failure
            if isinstance(search, ImageError):
                found = search
            else:
                ((_, picture),), searching, stages = search
                history = searching.history()
                about = ready.about(picture, f"picture {index + 1}", 0)
                found = self._answers.of(ready.backend, about, history, 0, stages)
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
        if self.manifest.ctc is not None:
            raise OptionsError(
                f"stream: the bundle {self.manifest.name!r} reads a line along its columns, and no character "
                "is settled before the last; call the model instead"
            )
        clock = Clock()
        ready.check_batch(1)
        picture = take(image, ready.color, self.manifest.image, ready.check_frame)
        stages = Clock(before_ms=clock.total_ms)

        def result(history: History) -> Result:
            about = ready.about(picture, "the picture", 0)
            answer = self._answers.of(ready.backend, about, history, 0, stages)
            if isinstance(answer, NotFiniteError):
                raise answer
            return answer

        search = ready.begin([picture.pixels], [0], stages, streams=True)
        return Stream(search, self.tokenizer, result)

    def phrases(self, texts: Iterable[str]) -> Phrases:
        """The option ``phrases`` of these texts, as the model's tokenizer spells them; keep it.

        Raises:
            OptionsError: there is none, or one cannot be spelt.
        """
        return Phrases.of_texts(texts, self.tokenizer)

    def check_questions(self, questions: Sequence[str]) -> None:
        """Refuse questions that the bundle cannot read, before any work.

        Raises:
            OptionsError: see `cnnrnn.runtime.questions.QuestionReader.read`; or the bundle is asked nothing.
        """
        self._requests.read_questions(tuple(questions))

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

    def _ready(self, options: CallOptions, also: tuple[str, ...] = ()) -> Ready:
        return self._requests.ready(self._open_backend(), options, also)

    def _caption(
        self, ready: Ready, sources: Sequence[FrameSource], clock: Clock, *, raises: bool
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
                about = ready.about(picture, what, index)
                answers[index] = self._answers.of(ready.backend, about, history, row, stages)
            for index, _ in part:
                answer = answers[index]
                if raises and isinstance(answer, NotFiniteError):
                    raise answer
        return [answers[index] for index in range(len(sources))]

    def _begun(self, ready: Ready, pictures: Sequence[_Entry], clock: Clock) -> Iterator[_Begun]:
        """The searches for all pictures, a batch each, in order."""

        def begun(part: Sequence[_Entry]) -> _Begun:
            stages = Clock(before_ms=clock.total_ms)
            pixels = [picture.pixels for _, picture in part]
            return part, ready.begin(pixels, [index for index, _ in part], stages), stages

        parts = (pictures[first : first + MAX_BATCH] for first in range(0, len(pictures), MAX_BATCH))
        return in_order((partial(begun, part) for part in parts), ready.ahead, _let_go)


def _check_errors(errors: str) -> None:
    if errors not in ("raise", "return"):
        raise OptionsError(f"errors={errors!r} is unknown; give 'raise' or 'return'")


def _let_go(begun: _Begun | ImageError) -> None:
    """Nobody asks for the answer."""
    if not isinstance(begun, ImageError):
        begun[1].abandon()
