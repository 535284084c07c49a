"""``manifest.json``: what a bundle holds, as frozen dataclasses, read and written strictly.

Reading checks types, limits and what the parts say about one another; it does not look at the bundle's
other files, which is `cnnrnn.core.bundle`'s part.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from cnnrnn.core.errors import BundleError
from cnnrnn.core.json_fields import Fields, integer, number, parse
from cnnrnn.core.languages import canonical

SCHEMA_VERSION = 1
MAX_IMAGE_SIDE = 4096
MAX_VOCABULARY = 1_000_000
MAX_QUESTION = 128
MAX_VIEWS = 4
MAX_FILE_BYTES = 2 * 1024**3

TASKS = ("caption", "vqa", "read")

Dimension = int | str
Resize = Literal["letterbox", "stretch", "crop", "line"]
_DTYPES = ("uint8", "int32", "int64", "float16", "bfloat16", "float32", "bool")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class TensorSpec:
    """A graph's input or output: name, dtype (NumPy's name, or ``bfloat16``) and shape.

    A dynamic dimension is its letter.
    """

    name: str
    dtype: str
    shape: tuple[Dimension, ...]


@dataclass(frozen=True)
class GraphSpec:
    """An ONNX file, relative to the bundle's folder with ``/`` between parts, and its tensors in order."""

    file: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True)
class ImageSpec:
    """How a picture becomes the encoder's input, (height, width, 3) uint8 RGB.

    ``mean`` and ``std``, in the unit interval, are applied inside the encoder graph; they are kept here for
    training and inspection. ``fill`` (RGB) is the colour of the borders of ``letterbox`` and ``line``. Of
    several ``views`` of one thing, each has a panel, all of one width, side by side.
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: Resize = "letterbox"
    fill: tuple[int, int, int] = (255, 255, 255)
    views: int = 1


@dataclass(frozen=True)
class VocabularySpec:
    """V and the ids of the special tokens; ``end`` is every token that ends a caption."""

    size: int
    pad: int
    start: int
    end: tuple[int, ...]
    unknown: int | None


@dataclass(frozen=True)
class QuestionSpec:
    """How a question becomes the encoder's inputs ``question`` (B, Q) and ``question_length`` (B), int32.

    Attributes:
        tokenizer: the file of the questions' tokenizer.
        max_length: Q, the most tokens of one.
        size: of the questions' vocabulary.
        pad: the token id that a question is filled up with.
        examples: questions of the kind that the model was made for: what the gates asked, one at least.
    """

    tokenizer: str
    max_length: int
    size: int
    pad: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class CtcSpec:
    """That the step graph gives the columns of a text line, one a step, for a search by connectionist
    temporal classification; the columns are as many as the search's ``max_length``.

    Attributes:
        blank: the token id of the blank.
    """

    blank: int


@dataclass(frozen=True)
class LanguageSpec:
    """The languages that a bundle writes; the first token that the decoder is fed says which.

    Attributes:
        default: the code of the one that is written unless another is asked for.
        tokens: by code (BCP 47, such as ``"pt-BR"``) the token id that is fed instead of the start token.
    """

    default: str
    tokens: dict[str, int]


@dataclass(frozen=True)
class SearchDefaults:
    """What the search does unless told otherwise, and the widest beam that the bundle was checked with."""

    beams: int = 5
    max_beams: int = 5
    max_length: int = 20
    min_length: int = 1
    length_penalty: float = 1.0


@dataclass(frozen=True)
class FileRecord:
    """SHA-256 (hexadecimal) and size of one of the bundle's files."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """Everything that ``manifest.json`` says.

    Attributes:
        precisions: by precision (``"fp32"``, ``"fp16"``, ``"bf16"``, ``"int8"``) the graphs ``"encoder"`` and
            ``"step"``.
        select: the select graphs, by name of the variant, such as ``"beam5"``.
        task: ``"caption"``, ``"vqa"`` for answers to questions, or ``"read"`` for the text of a line.
        question: how questions are read, of ``"vqa"``.
        ctc: of ``"read"``, where the line is read along its columns; None where a decoder writes it.
        languages: that captions can be asked for in; None where there is no choice.
        alignment_grid: (rows, columns) of the picture's grid that an alignment's P positions are, row-major.
        files: every file of the bundle but the manifest.
        provenance: where weights and data come from; free.
        parity: the report of the parity gate at export, and by precision that of the precision gate; free.
        notice: what everybody who reads an answer has to know; every result carries it. Empty for none.
        sections: the words that each open a section of an answer, such as ``"Findings:"``, in their order.
    """

    name: str
    image: ImageSpec
    vocabulary: VocabularySpec
    search: SearchDefaults
    precisions: dict[str, dict[str, GraphSpec]]
    select: dict[str, GraphSpec]
    schema_version: int = SCHEMA_VERSION
    task: str = "caption"
    summary: str = ""
    license: str = ""
    alignment_grid: tuple[int, int] | None = None
    question: QuestionSpec | None = None
    ctc: CtcSpec | None = None
    languages: LanguageSpec | None = None
    files: dict[str, FileRecord] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    parity: dict[str, Any] = field(default_factory=dict)
    notice: str = ""
    sections: tuple[str, ...] = ()

    @property
    def start(self) -> int:
        """The token that is fed first where nothing else is asked for."""
        spoken = self.languages
        return self.vocabulary.start if spoken is None else spoken.tokens[spoken.default]

    def to_json(self) -> str:
        """The text of ``manifest.json``, keys in the order of the fields."""
        content = dataclasses.asdict(self)
        if self.image.views == 1:
            del content["image"]["views"]
        for name in (
            "question",
            "ctc",
            "languages",
            "notice",
            "sections",
        ):  # so that others can be read as before
            if not content[name]:
                del content[name]
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @staticmethod
    def from_json(data: bytes | str, where: str = "manifest.json") -> Manifest:
        """Read what `to_json` wrote.

        Raises:
            BundleError: naming the key, what stood there and what may; also for an unknown schema version.
        """
        return _manifest(parse(data.encode() if isinstance(data, str) else data, where), where)


def _keys(kind: type) -> tuple[str, ...]:
    return tuple(entry.name for entry in dataclasses.fields(kind))


def _manifest(value: Any, where: str) -> Manifest:
    version = Fields(value, where).get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise BundleError(
            f"{where}.schema_version is {version!r}; this version of cnnrnn reads {SCHEMA_VERSION}. "
            "Export the bundle again with this version, or install the version that wrote it."
        )
    fields = Fields(value, where, _keys(Manifest))
    manifest = Manifest(
        name=fields.text("name"),
        image=fields.read("image", image_spec),
        vocabulary=fields.read("vocabulary", _vocabulary),
        search=fields.read("search", search_defaults),
        precisions=fields.table("precisions", _pair),
        select=fields.table("select", _graph),
        task=fields.choice("task", TASKS),
        summary=fields.text("summary"),
        license=fields.text("license"),
        alignment_grid=_grid(fields),
        question=fields.optional("question", _question),
        ctc=fields.optional("ctc", _ctc),
        languages=fields.optional("languages", _languages),
        files=fields.table("files", _file),
        provenance=fields.free("provenance"),
        parity=fields.free("parity"),
        notice=fields.optional("notice", _text) or "",
        sections=fields.optional("sections", _sections) or (),
    )
    check_name(manifest.name, f"{where}.name")
    if (manifest.task == "vqa") != (manifest.question is not None):
        raise BundleError(
            f"{where}.task is {manifest.task!r}, and question is {manifest.question!r}; vqa has one, and no "
            "other task does"
        )
    if manifest.ctc is not None:
        _check_ctc(manifest, where)
    _check_languages(manifest, where)
    if not manifest.precisions:
        raise BundleError(f"{where}.precisions is empty; at least one precision is needed")
    return manifest


def _ctc(value: Any, where: str) -> CtcSpec:
    return CtcSpec(blank=Fields(value, where, _keys(CtcSpec)).integer("blank", 0, MAX_VOCABULARY - 1))


def _check_ctc(manifest: Manifest, where: str) -> None:
    vocabulary, search = manifest.vocabulary, manifest.search
    assert manifest.ctc is not None
    if manifest.task != "read":
        raise BundleError(f"{where}.task is {manifest.task!r}, and there is ctc; only 'read' has it")
    if manifest.ctc.blank >= vocabulary.size:
        raise BundleError(
            f"{where}.ctc.blank is {manifest.ctc.blank}; a token of the vocabulary is needed, 0 to "
            f"{vocabulary.size - 1}"
        )
    if search.min_length or search.length_penalty:
        raise BundleError(
            f"{where}.search has min_length {search.min_length} and length_penalty {search.length_penalty}; "
            "with ctc both are 0"
        )


def check_name(name: str, where: str) -> None:
    """Refuse what a bundle may not be called.

    Raises:
        BundleError: naming ``where``, the name and what is allowed.
    """
    if not _NAME.fullmatch(name):
        raise BundleError(f"{where} is {name!r}; letters, digits, '.', '_' and '-' are allowed, up to 64")


def image_spec(value: Any, where: str) -> ImageSpec:
    """An `ImageSpec` as JSON has it.

    Raises:
        BundleError: naming the key below ``where``, what stood there and what may.
    """
    fields = Fields(value, where, _keys(ImageSpec))
    width = fields.integer("width", 1, MAX_IMAGE_SIDE)
    views = fields.optional("views", lambda item, place: integer(item, place, 1, MAX_VIEWS)) or 1
    if width % views:
        raise BundleError(
            f"{fields.place('width')} is {width}, which {views} views side by side do not share evenly; "
            f"a multiple of {views} is needed"
        )
    return ImageSpec(
        height=fields.integer("height", 1, MAX_IMAGE_SIDE),
        width=width,
        views=views,
        mean=cast("tuple[float, float, float]", fields.items("mean", number, 3)),
        std=cast("tuple[float, float, float]", fields.items("std", _positive, 3)),
        resize=cast(Resize, fields.choice("resize", get_args(Resize))),
        fill=cast("tuple[int, int, int]", fields.items("fill", _byte, 3)),
    )


def _vocabulary(value: Any, where: str) -> VocabularySpec:
    fields = Fields(value, where, _keys(VocabularySpec))
    size = fields.integer("size", 2, MAX_VOCABULARY)

    def token(item: Any, place: str) -> int:
        return integer(item, place, 0, size - 1)

    end = fields.items("end", token)
    if not end or len(set(end)) != len(end):
        raise BundleError(
            f"{fields.place('end')} is {list(end)}; distinct token ids, one at least, are needed"
        )
    return VocabularySpec(
        size=size,
        pad=fields.read("pad", token),
        start=fields.read("start", token),
        end=end,
        unknown=None if fields.get("unknown") is None else fields.read("unknown", token),
    )


def _question(value: Any, where: str) -> QuestionSpec:
    fields = Fields(value, where, _keys(QuestionSpec))
    size = fields.integer("size", 1, MAX_VOCABULARY)
    return QuestionSpec(
        tokenizer=fields.text("tokenizer"),
        max_length=fields.integer("max_length", 1, MAX_QUESTION),
        size=size,
        pad=fields.integer("pad", 0, size - 1),
        examples=_examples(fields),
    )


def _examples(fields: Fields) -> tuple[str, ...]:
    def text(item: Any, place: str) -> str:
        if not isinstance(item, str) or not item.strip():
            raise BundleError(f"{place} is {item!r}; a question is needed")
        return item

    examples = fields.items("examples", text)
    if not examples:
        raise BundleError(f"{fields.place('examples')} is empty; one question at least is needed")
    return examples


def _languages(value: Any, where: str) -> LanguageSpec:
    fields = Fields(value, where, _keys(LanguageSpec))

    def token(item: Any, place: str) -> int:
        return integer(item, place, 0, MAX_VOCABULARY - 1)

    return LanguageSpec(default=fields.text("default"), tokens=fields.table("tokens", token))


def _check_languages(manifest: Manifest, where: str) -> None:
    spoken, vocabulary = manifest.languages, manifest.vocabulary
    if spoken is None:
        return
    for code, token in spoken.tokens.items():
        place = f"{where}.languages.tokens.{code}"
        if canonical(code) != code:
            raise BundleError(
                f"{place}: {code!r} is no code of a language; such are 'en', 'pt-BR', 'zh-Hans'"
            )
        if token >= vocabulary.size or token in (vocabulary.pad, vocabulary.unknown, *vocabulary.end):
            raise BundleError(
                f"{place} is {token}; a token below {vocabulary.size} is needed that is neither padding, end "
                "nor unknown word"
            )
    if len(set(spoken.tokens.values())) < len(spoken.tokens):
        raise BundleError(f"{where}.languages.tokens has a token twice; each language needs its own")
    if spoken.default not in spoken.tokens:
        raise BundleError(
            f"{where}.languages.default is {spoken.default!r}; one of {', '.join(spoken.tokens)} is needed"
        )


def search_defaults(value: Any, where: str) -> SearchDefaults:
    """`SearchDefaults` as JSON has them.

    Raises:
        BundleError: naming the key below ``where``, what stood there and what may.
    """
    fields = Fields(value, where, _keys(SearchDefaults))
    most = fields.integer("max_beams", 1, 32)
    longest = fields.integer("max_length", 1, 1024)
    return SearchDefaults(
        beams=fields.integer("beams", 1, most),
        max_beams=most,
        max_length=longest,
        min_length=fields.integer("min_length", 0, longest),
        length_penalty=fields.number("length_penalty"),
    )


def _pair(value: Any, where: str) -> dict[str, GraphSpec]:
    fields = Fields(value, where, ("encoder", "step"))
    return {name: fields.read(name, _graph) for name in ("encoder", "step")}


def _graph(value: Any, where: str) -> GraphSpec:
    fields = Fields(value, where, _keys(GraphSpec))
    return GraphSpec(
        file=fields.text("file"),
        inputs=fields.items("inputs", _tensor),
        outputs=fields.items("outputs", _tensor),
    )


def _tensor(value: Any, where: str) -> TensorSpec:
    fields = Fields(value, where, _keys(TensorSpec))
    return TensorSpec(
        name=fields.text("name"),
        dtype=fields.choice("dtype", _DTYPES),
        shape=fields.items("shape", _dimension),
    )


def _dimension(value: Any, where: str) -> Dimension:
    if isinstance(value, str) and value.isidentifier():
        return value
    return integer(value, where, 0, 2**31 - 1)


def _file(value: Any, where: str) -> FileRecord:
    fields = Fields(value, where, _keys(FileRecord))
    digest = fields.text("sha256")
    if not _SHA256.fullmatch(digest):
        raise BundleError(f"{fields.place('sha256')} is {digest[:80]!r}; 64 hexadecimal digits are needed")
    return FileRecord(sha256=digest, bytes=fields.integer("bytes", 0, MAX_FILE_BYTES))


def _grid(fields: Fields) -> tuple[int, int] | None:
    if fields.get("alignment_grid") is None:
        return None
    rows, columns = fields.items(
        "alignment_grid", lambda item, place: integer(item, place, 1, MAX_IMAGE_SIDE), 2
    )
    return rows, columns


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BundleError(f"{where} is {value!r}; a text is needed")
    return value


def _sections(value: Any, where: str) -> tuple[str, ...]:
    """Distinct words: two alike could not be told apart in an answer."""
    sections = Fields({"sections": value}, where).items("sections", _text)
    if len({section.lower() for section in sections}) != len(sections):
        raise BundleError(f"{where} is {list(sections)}; distinct words are needed")
    return sections


def _positive(value: Any, where: str) -> float:
    result = number(value, where)
    if result <= 0:
        raise BundleError(f"{where} is {result}; a number above 0 is needed")
    return result


def _byte(value: Any, where: str) -> int:
    return integer(value, where, 0, 255)
