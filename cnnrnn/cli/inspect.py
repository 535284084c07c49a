"""Say what a bundle holds, and verify every file of it; or what the cache of built engines holds.

The SHA-256 of each file is compared with the manifest's; a file that is missing or altered is exit code 1.
With --cache, each engine is listed with its size and, where it will not be loaded here, the reason.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable
from typing import Any

from cnnrnn.cli.output import print_json, print_line, table
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import OptionsError
from cnnrnn.core.manifest import GraphSpec, Manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """BUNDLE, or the cache."""
    parser.add_argument(
        "bundle", metavar="BUNDLE", nargs="?", help="a bundle's folder, or the name of a shipped one (emoji)"
    )
    parser.add_argument(
        "--cache", action="store_true", help="list the cache of built engines (CNNRNN_CACHE names its folder)"
    )
    parser.add_argument(
        "--prune", action="store_true", help="with --cache: remove the engines that will not be loaded here"
    )


def run(arguments: argparse.Namespace) -> int:
    """Read and verify all of a bundle, or of the cache, then describe it.

    Raises:
        OptionsError: neither a bundle nor the cache is asked for, or both.
        UnknownBundleError: no such folder and no such name.
        BundleError: the manifest is not valid, or a file is missing or altered.
        CacheError: the cache's folder cannot be read, or is not the user's own.
    """
    if arguments.prune and not arguments.cache:
        raise OptionsError("--prune removes from the cache of built engines; give --cache too")
    if arguments.cache and arguments.bundle:
        raise OptionsError("give either BUNDLE or --cache: the cache is for the engines of all bundles")
    if arguments.cache:
        from cnnrnn.cli import inspect_cache

        return inspect_cache.run(prune=arguments.prune, as_json=arguments.json)
    if not arguments.bundle:
        raise OptionsError("say which BUNDLE (emoji, say), or --cache for the cache of built engines")
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    bundle = Bundle.open(arguments.bundle)
    total = sum(len(bundle.read(name)) for name in bundle.manifest.files)
    if arguments.json:
        description: dict[str, Any] = dataclasses.asdict(bundle.manifest)
        if bundle.manifest.languages is None:
            del description["languages"]
        print_json({"folder": str(bundle.folder), "bytes": total, "verified": True, **description})
        return 0
    print_line(f"{bundle.manifest.name}: {bundle.manifest.summary or bundle.manifest.task}")
    for line in _describe(bundle.manifest):
        print_line(line)
    print_line()
    print_line(
        f"{len(bundle.manifest.files)} files, {total / 1e6:.2f} MB, every SHA-256 as the manifest says"
    )
    return 0


def _describe(manifest: Manifest) -> list[str]:
    image, search, vocabulary = manifest.image, manifest.search, manifest.vocabulary
    lines = [
        "",
        *table(
            [
                ("license", manifest.license or "not stated"),
                ("image", f"{image.height} × {image.width}, {image.resize}"),
                ("vocabulary", f"{vocabulary.size} tokens"),
                *_questions(manifest),
                *_languages(manifest),
                (
                    "search",
                    f"{search.beams} beams (up to {search.max_beams}), "
                    f"{search.min_length} to {search.max_length} "
                    f"tokens, length penalty {search.length_penalty:g}",
                ),
                (
                    "attention",
                    "none"
                    if manifest.alignment_grid is None
                    else "{} × {} grid".format(*manifest.alignment_grid),
                ),
                ("select", _ranges(manifest.select) or "made on demand"),
                *(
                    (key, str(value))
                    for key, value in manifest.provenance.items()
                    if not isinstance(value, dict | list)
                ),
                *(
                    (f"parity {key}", str(value))
                    for key, value in manifest.parity.items()
                    if isinstance(value, int | float | str)
                ),
            ]
        ),
    ]
    for precision, graphs in manifest.precisions.items():
        for role, graph in graphs.items():
            lines += ["", f"{precision} {role}: {graph.file}", *_tensors(graph)]
    return lines


def _questions(manifest: Manifest) -> list[tuple[str, str]]:
    asked = manifest.question
    if asked is None:
        return []
    said = f"up to {asked.max_length} of {asked.size} tokens, such as {asked.examples[0]!r}"
    return [("questions", said)]


def _languages(manifest: Manifest) -> list[tuple[str, str]]:
    spoken = manifest.languages
    if spoken is None:
        return []
    return [("languages", f"{', '.join(spoken.tokens)}; {spoken.default} by default")]


def _ranges(names: Iterable[str]) -> str:
    """Names with each row of three or more numbers in brief: ``beam1 to beam32, greedy``."""
    rows: list[list[str]] = []
    for name in names:
        if rows and name == _next(rows[-1][-1]):
            rows[-1].append(name)
        else:
            rows.append([name])
    return ", ".join(f"{row[0]} to {row[-1]}" if len(row) > 2 else ", ".join(row) for row in rows)


def _next(name: str) -> str:
    stem = name.rstrip("0123456789")
    return f"{stem}{int(name[len(stem) :] or -1) + 1}"


def _tensors(graph: GraphSpec) -> list[str]:
    rows = [
        (f"  {way}", tensor.name, tensor.dtype, "(" + ", ".join(map(str, tensor.shape)) + ")")
        for way, tensors in (("in", graph.inputs), ("out", graph.outputs))
        for tensor in tensors
    ]
    return table(rows)
