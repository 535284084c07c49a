"""The page of a measurement: stages over their floors, settings side by side, and where the time goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnrnn.cli.page.card import escaped
from cnnrnn.cli.page.document import document
from cnnrnn.core.storage import write_atomic

OPERATORS = 8


def write_bench_page(target: Path, report: Mapping[str, Any], names: Sequence[str]) -> None:
    """Write the page in one piece.

    Args:
        target: the file to write; one that is there is replaced.
        report: as `cnnrnn.bench.report.report` makes it.
        names: of the settings, in the report's order.

    Raises:
        StorageError: the file cannot be written; what stood there stands there still.
    """
    write_atomic(target, _page(report, names).encode())


def _page(report: Mapping[str, Any], names: Sequence[str]) -> str:
    first = report["settings"][0]
    total = first["stages"]["total"]
    bundle = report["bundle"]
    header = f"""<p class="kicker">cnnrnn · bundle <b>{escaped(bundle["name"])}</b></p>
<h1>{total["p50_ms"]:.1f} ms an answer</h1>
<p class="lead">{escaped(names[0])}: the median of {total["count"]} answers; the least took
{total["minimum_ms"]:.1f} ms, one in ten more than {total["p90_ms"]:.1f} ms. {_noise(report["noisy"])}</p>"""
    parts = [
        _section("Stages", _stages(first["stages"])),
        _section("Settings, which took turns", _settings(report["settings"], names)),
        *(
            _section(f"Where the time of {graph} goes, {precision}", _operators(cost))
            for precision, costs in report["costs"].items()
            for graph, cost in costs.items()
        ),
    ]
    if camera := report["camera"]:
        parts.append(_section("A camera", _camera(camera)))
    title = f"cnnrnn bench: {bundle['name']}"
    return document(title, header, "\n".join(parts), _about(report))


def _noise(noisy: Sequence[str]) -> str:
    if not noisy:
        return "The run was quiet enough to be trusted."
    return f"<b>Too noisy to trust:</b> {escaped('; '.join(noisy))}."


def _section(title: str, content: str) -> str:
    return f'<section class="measured"><h2 class="group">{escaped(title)}</h2>{content}</section>'


def _stages(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """A bar a stage as long as its median, over a lighter one to its 90th percentile, a line at its floor."""
    longest = max(stage["p90_ms"] for stage in stages.values())
    rows: list[Sequence[str]] = [("", "p50", "p90", "p99", "floor", "p50 over floor", "")]
    bars = []
    for name, stage in stages.items():
        floor = stage.get("floor_ms")
        numbers = [_number(stage[key]) for key in ("p50_ms", "p90_ms", "p99_ms")]
        rows.append((name, *numbers, _number(floor), _number(stage.get("over_floor")), ""))
        bars.append(
            _bar(name, stage["p50_ms"] / longest, stage["p90_ms"] / longest, floor and floor / longest)
        )
    return _table(rows, bars)


def _bar(name: str, median: float, ninetieth: float, floor: float | None) -> str:
    tick = "" if floor is None else f'<i class="floor" style="left:{100 * floor:.1f}%"></i>'
    colour = "" if name == "total" else f" {escaped(name)}"
    return (
        f'<div class="measure"><span class="most{colour}" style="width:{100 * ninetieth:.1f}%"></span>'
        f'<span class="median{colour}" style="width:{100 * median:.1f}%"></span>{tick}</div>'
    )


def _settings(settings: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    totals = [entry["stages"]["total"] for entry in settings]
    longest = max(total["p90_ms"] for total in totals)
    rows = [("", "p50", "p90", "x the first", "pictures/s", "steps", "")]
    for name, entry, total in zip(names, settings, totals, strict=True):
        ratio = total["p50_ms"] / totals[0]["p50_ms"]
        steps = f"{entry['steps']['mean']:.1f}"
        speed = f"{entry['pictures_per_s']:.1f}"
        numbers = _number(total["p50_ms"]), _number(total["p90_ms"])
        rows.append((name, *numbers, f"{ratio:.2f}", speed, steps, ""))
    bars = [_bar("total", total["p50_ms"] / longest, total["p90_ms"] / longest, None) for total in totals]
    return _table(rows, bars)


def _operators(cost: Mapping[str, Any]) -> str:
    taken = list(cost["operators_ms"].items())
    shown, rest = taken[:OPERATORS], taken[OPERATORS:]
    if rest:
        shown.append((f"{len(rest)} others", sum(value for _, value in rest)))
    most = max((value for _, value in shown), default=0.0) or 1.0
    rows = [("kernel", "ms a run", "")] + [(name, f"{value:.3f}", "") for name, value in shown]
    counted = (
        f"{cost['nodes']} kernels, {cost['multiplications'] / 1e6:.1f} million multiplications and "
        f"{cost['weight_bytes'] / 1e6:.1f} MB of weights a run. Profiling makes kernels longer."
    )
    return f"<p>{counted}</p>" + _table(rows, [_bar("total", value / most, 0.0, None) for _, value in shown])


def _camera(camera: Mapping[str, Any]) -> str:
    age = camera["age"]
    return (
        f"<p>Of {camera['frames_per_s']:g} frames a second {camera['answered']} were answered and "
        f"{camera['dropped']} dropped. Answers were {age['p50_ms']:.1f} ms old, one in ten more than "
        f"{age['p90_ms']:.1f} ms; {100 * camera['in_time']:.1f} % within {camera['deadline_ms']:g} ms.</p>"
    )


def _table(rows: Sequence[Sequence[str]], bars: Sequence[str]) -> str:
    """Rows, the head first; the last cell of each other row is its bar."""
    head = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in rows[0])
    lines = "".join(
        f'<tr><th scope="row">{escaped(row[0])}</th>'
        + "".join(f"<td>{escaped(cell)}</td>" for cell in row[1:-1])
        + f'<td class="bars">{bar}</td></tr>'
        for row, bar in zip(rows[1:], bars, strict=True)
    )
    return f'<table class="scores"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _about(report: Mapping[str, Any]) -> dict[str, str]:
    machine = report["machine"]
    rates = [
        f"{entry['gigaflops']:g} GFLOP/s on {entry['threads']} threads" for entry in report["machine_at_best"]
    ]
    facts: Iterable[tuple[str, Any]] = (
        ("processor", f"{machine['processor']}, {machine['physical_cores']} cores"),
        ("governor", machine["governor"]),
        ("limits", machine["processor_quota"]),
        ("GPU", ", ".join(machine["gpus"])),
        ("Jetson", machine["jetson"]),
        ("at best", ", ".join(rates)),
        ("bundle", report["bundle"]["sha256"][:12]),
        ("versions", ", ".join(f"{name} {version}" for name, version in machine["versions"].items())),
    )
    return {name: str(value) for name, value in facts if value}
