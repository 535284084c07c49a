"""A call of a model whose options are checked: everything that can be refused before a picture is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnnrnn.core.errors import ImageError, OptionsError
from cnnrnn.core.languages import matched
from cnnrnn.core.manifest import Manifest
from cnnrnn.core.search import SearchOptions, SearchSettings, check_batch, check_names, options_for
from cnnrnn.core.tokenizer import Tokenizer
from cnnrnn.runtime.answers import About
from cnnrnn.runtime.backend import Backend
from cnnrnn.runtime.clock import Clock
from cnnrnn.runtime.device.names import DEVICE_BACKENDS
from cnnrnn.runtime.frame import DeviceFrame
from cnnrnn.runtime.image import Color, check_color
from cnnrnn.runtime.loop import Pixels, Searches, Searching, SpecialTokens, begin, prepare
from cnnrnn.runtime.picture import Taken
from cnnrnn.runtime.questions import QuestionReader, Questions
from cnnrnn.runtime.select import SelectKind


class CallOptions(SearchSettings, total=False):
    """What a call of a model may be given beside the pictures; see `cnnrnn.runtime.model.Model.__call__`."""

    color: Color
    question: str | Sequence[str]
    language: str | Sequence[str]


@dataclass(frozen=True)
class Ready:
    """A call whose options are checked and whose graphs are there.

    Attributes:
        asked: the questions, one for all pictures or one for each; empty where the model is asked nothing.
        questions: the same, as the encoder reads them.
        unknown: of each of them the words that the bundle does not know.
        languages: the codes of the language of all answers, or of each; empty where there is no choice.
    """

    backend: Backend | Searches
    special: SpecialTokens
    search: SearchOptions
    kind: SelectKind
    color: Color
    asked: tuple[str, ...] = ()
    questions: Questions | None = None
    unknown: tuple[tuple[str, ...], ...] = ()
    languages: tuple[str, ...] = ()

    @property
    def ahead(self) -> int:
        """How many searches to begin before the first one's answer is waited for."""
        return int(isinstance(self.backend, Searches) and self.backend.overlaps)

    def check_batch(self, pictures: int) -> None:
        """Refuse an option that was given for each picture, for another number of these.

        Raises:
            OptionsError: naming the option and both numbers.
        """
        check_batch(self.search, pictures)
        if len(self.asked) not in (0, 1, pictures):
            raise OptionsError(
                f"question has {len(self.asked)} texts for {pictures} pictures; give one for all, or one for "
                "each. Several questions about one picture are for `ask`"
            )

    def check_frame(self, frame: DeviceFrame) -> None:
        """Refuse a frame that the backend cannot read."""
        if not isinstance(self.backend, Searches):
            raise ImageError(
                f"{frame.what} lies on a GPU, and the backend {self.backend.name} reads pictures of the "
                f"host; load the model with backend={' or '.join(map(repr, DEVICE_BACKENDS))}, or copy the "
                "frame to the host: `.cpu().numpy()` of torch's, `.get()` of others"
            )
        self.backend.check_frame(frame)

    def about(self, picture: Taken, what: str, index: int) -> About:
        """What the answer is about that is for a picture of the call, or a question of that number about one.

        Args:
            what: the picture, or question, is called in an error.
        """
        language = self.languages[index if len(self.languages) > 1 else 0] if self.languages else None
        if not self.asked:
            return About(picture, what, language=language)
        place = index if len(self.asked) > 1 else 0
        return About(picture, what, self.asked[place], self.unknown[place], language)

    def begin(
        self, pictures: Sequence[Pixels], indices: Sequence[int], clock: Clock, *, streams: bool = False
    ) -> Searching:
        """Begin the search for some answers of the call.

        Args:
            pictures: theirs; or one, of which all are asked.
            indices: their places among all.
        """
        questions = self.questions
        if questions is not None:
            questions = questions.rows([index if len(self.asked) > 1 else 0 for index in indices])
        options = self.search.of_images(list(indices))
        return begin(
            self.backend,
            pictures,
            options,
            self.special,
            clock,
            self.kind,
            questions=questions,
            streams=streams,
        )


@dataclass(frozen=True)
class Requests:
    """What a bundle's calls are checked by.

    Attributes:
        reader: of questions; None where the bundle is asked nothing.
    """

    manifest: Manifest
    tokenizer: Tokenizer
    reader: QuestionReader | None

    def ready(self, backend: Backend | Searches, options: CallOptions, also: tuple[str, ...] = ()) -> Ready:
        """Check a call's options; ``also`` are names known too.

        Raises:
            OptionsError: one is unknown, out of its limits, or contradicts another; a question cannot be
                read, is missing, or nobody reads it; the bundle has not the language.
        """
        check_names(options, {*CallOptions.__optional_keys__, *also})
        settings: dict[str, Any] = dict(options)
        color: Color = settings.pop("color", "bgr")
        asked, questions = self.read_questions(settings.pop("question", None))
        settings["prefix"] = self._spelt(settings.get("prefix"))
        languages, start = self._languages(settings.pop("language", None))
        search = options_for(self.manifest, start=start, **settings)
        check_color(color)
        special = SpecialTokens.of(self.manifest)
        kind = prepare(backend, search, special)
        reader = self.reader
        unknown = tuple(reader.unknown_words(text) for text in asked) if reader is not None else ()
        return Ready(backend, special, search, kind, color, asked, questions, unknown, languages)

    def read_questions(self, given: Any) -> tuple[tuple[str, ...], Questions | None]:
        """The option ``question``, as texts and as the encoder reads them.

        Raises:
            OptionsError: as `ready`.
        """
        if self.reader is None:
            if given is not None:
                said = given[0] if isinstance(given, tuple) and len(given) == 1 else given
                raise OptionsError(
                    f"question={said!r}: the bundle {self.manifest.name!r} is asked nothing, it captions "
                    "pictures; leave the question out"
                )
            return (), None
        texts = tuple(given) if isinstance(given, (list, tuple)) else (given,)
        if given is None or not texts:
            example = self.reader.spec.examples[0]
            raise OptionsError(
                f"the bundle {self.manifest.name!r} answers questions about pictures; give "
                f"question={example!r}, for example"
            )
        return texts, self.reader.read(texts)

    def _languages(self, given: Any) -> tuple[tuple[str, ...], int | tuple[int, ...] | None]:
        """The option ``language``: the bundle's own codes, and the tokens to start with."""
        spoken, name = self.manifest.languages, self.manifest.name
        several = isinstance(given, (list, tuple))
        if spoken is None:
            if given is not None:
                matched(given, (), name)
            return (), None
        if several and not given:
            raise OptionsError(
                f"language={given!r} is empty; give one for all pictures, or one for each, of "
                f"{', '.join(spoken.tokens)}"
            )
        asked = given if several else (spoken.default if given is None else given,)
        codes = tuple(matched(code, spoken.tokens, name) for code in asked)
        tokens = tuple(spoken.tokens[code] for code in codes)
        return codes, tokens if several else tokens[0]

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
