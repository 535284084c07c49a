"""Write what is on each picture, or answer questions about it.

IMAGE is a picture, a folder (every picture under it), or - for one picture's bytes on standard input.
Of a bundle that takes several views of one thing, a folder that holds no more pictures than a study has views
is one study, its views by name; with --study the IMAGEs are the views of one.
A picture that cannot be used is reported in its place, the others are answered, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnrnn.cli import options
from cnnrnn.cli.output import isolated, note, note_unusable, print_json, print_line
from cnnrnn.core import extras
from cnnrnn.core.errors import ImageError, NotFiniteError, OptionsError
from cnnrnn.core.languages import matched
from cnnrnn.core.samples import pictures_in, studies_of

if TYPE_CHECKING:
    from cnnrnn.runtime.model import Model
    from cnnrnn.runtime.result import Result
    from cnnrnn.runtime.views import Study

    Source = Path | bytes | Study

MAX_STDIN_BYTES = 256 * 1024**2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """BUNDLE, IMAGE and the options of the engine and the search."""
    options.add_bundle(parser)
    parser.add_argument(
        "images", metavar="IMAGE", nargs="+", help="a picture, a folder of them, or - for standard input"
    )
    parser.add_argument(
        "--question",
        action="append",
        default=[],
        metavar="TEXT",
        help="what a bundle that answers questions is asked about each picture; may be given again",
    )
    parser.add_argument(
        "--study",
        action="store_true",
        help="the IMAGEs are views of one study, in the order that the bundle was trained with",
    )
    parser.add_argument(
        "--language",
        metavar="CODE",
        help="the language to write in, of a bundle that has several (uk, pt-BR); more with , between them, "
        "or all, are a line each",
    )
    parser.add_argument(
        "--batch",
        type=options.integer,
        default=1,
        metavar="B",
        help="pictures that go through the model together (default: 1)",
    )
    parser.add_argument(
        "--stream",
        action="store_true",
        help="write each piece of the text as soon as it is settled, then the answer",
    )
    options.add_engine(parser)
    options.add_search(parser)


def run(arguments: argparse.Namespace) -> int:
    """Answer every picture in the order given.

    Raises:
        OptionsError: a batch below 1, or above 1 with --stream, or a folder without a picture.
        CnnrnnError: the bundle or the engine cannot be used.
    """
    if arguments.batch < 1:
        raise OptionsError(f"--batch is {arguments.batch}; give 1 or more")
    if arguments.stream and arguments.batch > 1:
        raise OptionsError(
            f"--batch {arguments.batch} contradicts --stream, which takes one picture at a time"
        )
    if arguments.batch > 1 and len(arguments.question) > 1:
        raise OptionsError(
            f"--batch {arguments.batch} with {len(arguments.question)} questions: these go through the model "
            "together, one picture at a time; leave --batch out"
        )
    if arguments.language is not None and arguments.question:
        raise OptionsError(
            f"--language {arguments.language} contradicts --question: an answer is in the question's language"
        )
    if arguments.stream and len(arguments.question) > 1:
        raise OptionsError(
            f"--stream writes one answer as it comes, and --question is given {len(arguments.question)} times"
        )
    extras.require_cv2()  # now, so that its import is not a part of the first picture's time
    failed = 0
    with options.load_model(arguments) as model:
        views = model.manifest.image.views
        sources = _study(arguments, views) if arguments.study else list(_sources(arguments.images, views))
        if model.manifest.notice:
            note(f"cnnrnn: {model.manifest.notice}")
        chosen = options.search_options(arguments, model)
        _check_questions(model, arguments.question)
        languages = _languages(model, arguments)
        if len(languages) == 1:
            chosen.keywords["language"] = languages[0]
        asked = len(arguments.question)
        if asked == 1:
            chosen.keywords["question"] = arguments.question[0]
        for start in range(0, len(sources), arguments.batch):
            part = sources[start : start + arguments.batch]
            pictures = [source for _, source in part]
            if arguments.stream:
                answers = [_stream(model, part[0], chosen, arguments.json)]
            elif asked > 1:
                part = part * asked
                answers = _ask(model, pictures[0], arguments.question, chosen)
            elif len(languages) > 1:
                part = part * len(languages)
                answers = _in_languages(model, pictures[0], languages, chosen)
            elif len(pictures) == 1:
                answers = [model(pictures[0], errors="return", **chosen.keywords)]
            else:
                answers = model(pictures, errors="return", **chosen.keywords)
            for (name, _), answer in zip(part, answers, strict=False):
                failed += _show(name, answer, chosen, arguments.json)
    if failed:
        note(f"cnnrnn: {failed} of {len(sources)} pictures could not be used")
    return 1 if failed else 0


def _check_questions(model: Model, questions: list[str]) -> None:
    """Refuse questions that nobody reads, or a bundle that is asked none, before the first picture.

    Raises:
        OptionsError: naming ``--question``.
    """
    spec, name = model.manifest.question, model.manifest.name
    if spec is None:
        if questions:
            raise OptionsError(
                f"--question {questions[0]!r}: the bundle {name!r} is asked nothing, it captions pictures; "
                "leave the question out"
            )
        return
    if not questions:
        raise OptionsError(
            f"the bundle {name!r} answers questions about pictures; give --question {spec.examples[0]!r}, "
            "for example"
        )
    try:
        model.check_questions(questions)
    except OptionsError as error:
        raise OptionsError(str(error).replace("question=", "--question ", 1)) from error


def _languages(model: Model, arguments: argparse.Namespace) -> list[str]:
    """The codes that ``--language`` names, as the bundle spells them; empty where it is not given.

    Raises:
        OptionsError: naming ``--language``: the bundle has not the language, or several cannot be together.
    """
    given: str | None = arguments.language
    if given is None:
        return []
    spoken = model.manifest.languages
    known = () if spoken is None else tuple(spoken.tokens)
    codes = known if known and given == "all" else given.split(",")
    try:
        found = [matched(code, known, model.manifest.name) for code in codes]
    except OptionsError as error:
        raise OptionsError(str(error).replace("language=", "--language ", 1)) from error
    for flag in ("batch", "stream"):
        value = getattr(arguments, flag)
        if len(found) > 1 and int(value) > (flag == "batch"):
            raise OptionsError(
                f"--language {given} has {len(found)} languages, which are written together, and --{flag} "
                "takes one; leave one of the two out"
            )
    return list(dict.fromkeys(found))


def _in_languages(
    model: Model, picture: Source, languages: list[str], chosen: options.Chosen
) -> list[Result | ImageError | NotFiniteError]:
    """One picture's captions in several languages; the error once, where it cannot be read."""
    try:
        return [*model([picture] * len(languages), language=languages, **chosen.keywords)]
    except (ImageError, NotFiniteError) as error:
        return [error]


def _ask(
    model: Model, picture: Source, questions: list[str], chosen: options.Chosen
) -> list[Result | ImageError | NotFiniteError]:
    """The answers to several questions about one picture; the error once, where it cannot be read."""
    try:
        return [*model.ask(picture, questions, **chosen.keywords)]
    except (ImageError, NotFiniteError) as error:
        return [error]


def _study(arguments: argparse.Namespace, views: int) -> list[tuple[str, Source]]:
    """The pictures as one study's views.

    Raises:
        OptionsError: there are more of them than the bundle has views, or one is no file.
    """
    images = arguments.images
    if len(images) > views:
        raise OptionsError(
            f"--study has {len(images)} IMAGEs, and the bundle takes {views} of each study; leave the others "
            "out, or give several studies as a folder each"
        )
    if refused := [image for image in images if image == "-" or Path(image).is_dir()]:
        raise OptionsError(f"--study takes a file for each view, and {refused[0]!r} is none; name the files")
    from cnnrnn.runtime.views import Study

    return [(" + ".join(images), Study(tuple(map(Path, images))))]


def _sources(images: list[str], views: int) -> Iterator[tuple[str, Source]]:
    """Each picture's or study's name and what the model is given for it."""
    from cnnrnn.runtime.views import Study

    for image in images:
        path = Path(image)
        if image == "-":
            yield image, sys.stdin.buffer.read(MAX_STDIN_BYTES)
        elif path.is_dir():
            found = pictures_in(path)
            if not found:
                raise OptionsError(f"folder {image} holds no picture")
            for picture, *others in studies_of(found, views):
                if others:
                    yield str(picture.parent), Study((picture, *others))
                else:
                    yield str(picture), picture
        else:
            yield image, path


def _stream(
    model: Model, source: tuple[str, Source], chosen: options.Chosen, as_json: bool
) -> Result | ImageError | NotFiniteError:
    """Print the pieces of one picture's answer as they come, and return the answer."""
    name, picture = source
    try:
        pieces = model.stream(picture, **chosen.keywords)
        for piece in pieces:
            if as_json:
                print_json({"image": name, "settled": piece.text, "tokens": list(piece.tokens)})
            elif piece.text:
                print_line(f"{name}: + {piece.text.strip()}")
        return pieces.result
    except (ImageError, NotFiniteError) as error:
        return error


def _show(name: str, answer: Any, chosen: options.Chosen, as_json: bool) -> int:
    """Print one answer; 1 where it is an error."""
    if isinstance(answer, Exception):
        if as_json:
            print_json({"image": name, "error": str(answer), "kind": type(answer).__name__})
        note_unusable(name, answer)
        return 1
    if answer.unknown_words:
        words = ", ".join(map(repr, answer.unknown_words))
        note(f"cnnrnn: {answer.question!r}: the bundle has never met {words}, and can make nothing of it")
    why = chosen.reason(answer)
    if as_json:
        print_json({**answer.to_dict(), "image": name, "reason": why})
        return 0
    ending = f"; {why}" if why else ""
    if answer.question is not None:
        name = f"{name}: {answer.question}"
    if answer.language is not None:
        name = f"{name}: {answer.language}"
    text = answer.text if answer.language is None else isolated(answer.text)
    print_line(f"{name}: {text}  ({answer.score:.3f}, {answer.timings_ms['total']:.1f} ms{ending})")
    for section, text in (answer.sections or {}).items():
        print_line(f"  {section or 'before any section'}: {text}")
    if answer.missing_views:
        note(f"cnnrnn: {name}: {answer.missing_views} of the views missing; the answer is made without")
    if "n_best" in chosen.keywords:
        for rank, hypothesis in enumerate(answer.hypotheses[1:], 2):
            text = hypothesis.text if answer.language is None else isolated(hypothesis.text)
            print_line(f"  {rank}. {text}  ({hypothesis.score:.3f})")
    return 0
