"""Measure how long a bundle takes, by stage, over what this machine could do at best; or compare two reports.

Every option of a setting may be given several times: the first of each makes the setting that is judged, and
each other one varies it. Settings take turns picture by picture. Without options it takes under a minute.
A camera of --camera frames a second is answered newest frame first, by the first setting.
With --compare, what two reports say of one bundle is compared, and the exit code is 1 where it became slower.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnrnn.cli import options
from cnnrnn.cli.output import Progress, note, print_line, table
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.samples import pictures_in, sample_pictures
from cnnrnn.core.storage import check_folder_of

if TYPE_CHECKING:
    from cnnrnn.bench import Bench, Camera, Comparison, Setting
    from cnnrnn.core.bundle import Bundle

JSON_IS_A_FILE = True
CAMERA_SECONDS = 10.0
# What a setting has in addition, by the option that gives it.
_VARIED = ("precision", "threads", "batch", "beams", "steps")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """BUNDLE, the settings, and where the report goes."""
    parser.add_argument(
        "bundle", metavar="BUNDLE", nargs="?", help="a bundle's folder, or the name of a shipped one"
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="of the pictures (default: those that are shipped)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole report here")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write it as a page too")
    parser.add_argument(
        "--compare",
        nargs=2,
        type=Path,
        metavar=("BEFORE", "AFTER"),
        help="measure nothing, compare two reports",
    )
    group = parser.add_argument_group("settings")
    group.add_argument("--backend", default="ort-cpu", help="what runs the graphs (default: %(default)s)")
    group.add_argument("--precision", action="append", help="one that the bundle has (default: its first)")
    for name, what in (
        ("threads", "of ort-cpu (default: the physical cores)"),
        ("batch", "pictures at once (default: 1)"),
        ("beams", "the beam width (default: the bundle's)"),
        ("steps", "make every answer so many tokens long (default: as they end)"),
    ):
        group.add_argument(f"--{name}", action="append", type=options.integer, metavar="N", help=what)
    _add_turns(parser.add_argument_group("turns"))


def _add_turns(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--repetitions",
        type=options.integer,
        default=100,
        metavar="N",
        help="answers of each setting, 30 at least for a p99 (default: %(default)s)",
    )
    group.add_argument(
        "--seconds",
        type=float,
        default=30.0,
        metavar="S",
        help="the turns end after this time, however many there were (default: %(default)s)",
    )
    group.add_argument("--camera", type=float, metavar="FPS", help="also answer a camera for ten seconds")
    group.add_argument(
        "--deadline-ms",
        type=float,
        default=100.0,
        metavar="MS",
        help="how old an answer of the camera may be (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure, or compare.

    Raises:
        OptionsError: neither a bundle nor two reports, or both; an option out of its limits.
        CnnrnnError: the bundle or the engine cannot be used, or a report cannot be read.
    """
    if (arguments.bundle is None) == (arguments.compare is None):
        raise OptionsError("give a BUNDLE to measure, or --compare with two reports")
    if arguments.compare is not None:
        return _compare(*arguments.compare)
    for name in ("seconds", "camera", "deadline_ms"):
        value = getattr(arguments, name)
        if value is not None and not 0 < value < float("inf"):
            raise OptionsError(f"--{name.replace('_', '-')} is {value}; give more than 0")
    for file in (arguments.json, arguments.html):
        if file is not None:
            check_folder_of(file)
    from cnnrnn.bench import Plan, measure, report, write_report
    from cnnrnn.core.bundle import Bundle

    bundle = Bundle.open(Path(arguments.bundle))
    settings = tuple(_settings(arguments, bundle))
    plan = Plan(settings, arguments.repetitions, seconds=arguments.seconds)
    pictures = [path.read_bytes() for path in _pictures(arguments.pictures)]
    progress = Progress(arguments.repetitions, "turns")
    bench = measure(bundle, pictures, plan, on_progress=progress.update)
    camera = _camera(arguments, bundle, settings[0], pictures)
    _print(bench, camera)
    content = report(bench, bundle, camera)
    if arguments.json is not None:
        write_report(arguments.json, content)
    if arguments.html is not None:
        from cnnrnn.cli.bench_page import write_bench_page

        write_bench_page(arguments.html, content, [str(setting) for setting in settings])
    return 0


def _settings(arguments: argparse.Namespace, bundle: Bundle) -> Iterator[Setting]:
    """The first of each option together, then each other one in its place."""
    from cnnrnn.bench import Setting
    from cnnrnn.runtime.precision import precision_for
    from cnnrnn.runtime.threads import physical_cores

    on_processor = arguments.backend == "ort-cpu"
    if arguments.threads and not on_processor:
        raise OptionsError(f"--threads is for ort-cpu; the backend {arguments.backend} has none")
    given: dict[str, list[Any]] = {name: getattr(arguments, name) or [] for name in _VARIED}
    for precision in given["precision"]:
        precision_for(bundle.manifest, arguments.backend, precision)
    first = Setting(
        precision=next(iter(given["precision"]), precision_for(bundle.manifest, arguments.backend, None)),
        backend=arguments.backend,
        threads=next(iter(given["threads"]), physical_cores() if on_processor else None),
        batch=next(iter(given["batch"]), 1),
        beams=next(iter(given["beams"]), bundle.manifest.search.beams),
        steps=next(iter(given["steps"]), None),
    )
    yield first
    for name in _VARIED:
        for value in given[name][1:]:
            yield replace(first, **{name: value})


def _pictures(folder: Path | None) -> list[Path]:
    if folder is None:
        return list(sample_pictures())
    if not folder.is_dir():
        raise OptionsError(f"--pictures is {folder}, and there is no such folder")
    if not (found := pictures_in(folder)):
        raise OptionsError(f"--pictures is {folder}, and it holds no picture")
    return found


def _camera(
    arguments: argparse.Namespace, bundle: Bundle, setting: Setting, pictures: list[bytes]
) -> Camera | None:
    if arguments.camera is None:
        return None
    from cnnrnn.bench import run_camera
    from cnnrnn.runtime.loading import load

    asked = bundle.manifest.question
    keywords: dict[str, Any] = setting.keywords()
    if asked is not None:
        keywords["question"] = asked.examples[0]
    with load(bundle, backend=setting.backend, precision=setting.precision, threads=setting.threads) as model:
        model(pictures[0], **keywords)
        return run_camera(
            lambda picture: model(picture, **keywords),
            pictures,
            frames_per_s=arguments.camera,
            seconds=CAMERA_SECONDS,
            deadline_ms=arguments.deadline_ms,
        )


def _print(bench: Bench, camera: Camera | None) -> None:
    first = bench.timed[0]
    rows: list[tuple[str, ...]] = [("stage", "least", "p50", "p90", "p99", "floor", "p50 over floor")]
    for stage, summary in first.summaries().items():
        floor = first.floors_ms.get(stage)
        p99 = "" if summary.p99 is None else f"{summary.p99:.2f}"
        over = ("", "") if not floor else (f"{floor:.2f}", f"{summary.p50 / floor:.2f}")
        rows.append((stage, f"{summary.minimum:.2f}", f"{summary.p50:.2f}", f"{summary.p90:.2f}", p99, *over))
    print_line(f"{bench.bundle}: {first.setting}; {len(first.steps)} answers, milliseconds")
    for line in table(rows, right=frozenset(range(1, len(rows[0])))):
        print_line(line)
    if len(bench.timed) > 1:
        print_line()
        for line in table(_curve(bench), right=frozenset(range(1, 5))):
            print_line(line)
    if camera is not None:
        age = camera.age_ms
        print_line(
            f"camera of {camera.frames_per_s:g} frames/s: {camera.answered} answers, {camera.dropped} drops; "
            f"age {age.p50:.1f} ms, p90 {age.p90:.1f}; {camera.in_time:.1%} within {camera.deadline_ms:g} ms"
        )
    for name, joules in bench.joules.items():
        answers = sum(len(timed.steps) * timed.setting.batch for timed in bench.timed)
        print_line(f"energy, {name}: {joules / answers:.3f} J an answer, over all settings")
    for doubt in bench.doubts():
        note(f"cnnrnn: too noisy to trust: {doubt}")


def _curve(bench: Bench) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("setting", "p50", "p90", "x the first", "pictures/s")]
    first = bench.timed[0].summaries()["total"].p50
    for timed in bench.timed:
        total = timed.summaries()["total"]
        rows.append(
            (
                str(timed.setting),
                f"{total.p50:.2f}",
                f"{total.p90:.2f}",
                f"{total.p50 / first:.2f}",
                f"{timed.pictures_per_s:.1f}",
            )
        )
    return rows


def _compare(before: Path, after: Path) -> int:
    from cnnrnn.bench import compare, read_report

    comparison: Comparison = compare(read_report(before), read_report(after))
    rows = [("setting", "stage", "before", "after", "ratio", "noise", "")]
    for row in comparison.rows:
        rows.append(
            (
                _named(row.setting) if row.stage == "total" else "",
                row.stage,
                f"{row.before_ms:.2f}",
                f"{row.after_ms:.2f}",
                f"{row.ratio:.3f}",
                f"{row.noise:.3f}",
                row.verdict,
            )
        )
    for line in table(rows, right=frozenset(range(2, 6))):
        print_line(line)
    for said in comparison.notes:
        note(f"cnnrnn: {said}")
    return 1 if comparison.slower else 0


def _named(setting: dict[str, Any]) -> str:
    from cnnrnn.bench import Setting

    return str(Setting(**setting))
