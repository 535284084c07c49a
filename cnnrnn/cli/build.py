"""Compile a bundle's graphs into TensorRT engines, once, into the cache.

Three kinds of engine are needed: encoder and step, which are the model, and select, which is the search.
Each is built for one size, images x beams. tensorrt builds for this machine's GPU; tensorrt-rtx for any, and
needs none to build.
"""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import fields
from typing import TYPE_CHECKING

from cnnrnn.cli.options import add_bundle, integer
from cnnrnn.cli.output import print_json, print_line
from cnnrnn.core.bundle import Bundle
from cnnrnn.core.errors import OptionsError
from cnnrnn.runtime.engine.library import NAMES
from cnnrnn.runtime.engine.options import HARDWARE_LEVELS, MAX_OPTIMIZATION_LEVEL, BuildOptions

if TYPE_CHECKING:
    from cnnrnn.runtime.engine.build import BuildPlan

_FLAGS = {
    "compute_capabilities": "compute-capability",
    "images": "batch",
    "timing_cache": "no-timing-cache",
}
_OPTIONS = tuple(entry.name for entry in fields(BuildOptions))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """BUNDLE, what builds, for which sizes and GPUs, and how."""
    add_bundle(parser)
    parser.add_argument(
        "--backend", default=NAMES[0], choices=NAMES, help="what builds (default: %(default)s)"
    )
    parser.add_argument(
        "--precision", help="one that the bundle has: fp32, ... (default: fp16, else its first)"
    )
    parser.add_argument(
        "--beams", type=_integers, metavar="K,...", help="beam widths (default: the bundle's own)"
    )
    parser.add_argument(
        "--batch",
        type=_integers,
        default=(1,),
        metavar="B,...",
        help="images that go through the graphs together; every one with every beam width (default: 1)",
    )
    parser.add_argument(
        "--compute-capability",
        dest="compute_capabilities",
        type=_texts,
        default=(),
        metavar="C,...",
        help="the GPUs to build for, 8.6 or 7.5,8.6 (default: this machine's; without one, tensorrt-rtx "
        "builds for every GPU from 8.0 on that it knows)",
    )
    group = parser.add_argument_group("how (what is not given is TensorRT's own choice)")
    group.add_argument(
        "--workspace-mib", type=integer, metavar="MIB", help="most scratch memory of the GPU a layer may use"
    )
    group.add_argument(
        "--optimization-level",
        type=integer,
        metavar="N",
        help=f"0 to {MAX_OPTIMIZATION_LEVEL}; higher searches longer for faster kernels (tensorrt alone)",
    )
    group.add_argument(
        "--hardware-compatible",
        choices=tuple(HARDWARE_LEVELS),
        help="an engine for every GPU from 8.0 on, or for all of this one's compute capability (tensorrt "
        "alone)",
    )
    group.add_argument(
        "--version-compatible",
        action="store_true",
        help="an engine that newer TensorRT of the same major version runs too (tensorrt alone)",
    )
    group.add_argument(
        "--tf32",
        action="store_true",
        help="let float32 products round what they multiply to float16's 10 bits: faster, less exact",
    )
    group.add_argument(
        "--refit", action="store_true", help="weights can be exchanged later while the graph stays the same"
    )
    group.add_argument(
        "--no-timing-cache",
        dest="timing_cache",
        action="store_false",
        help="measure every layer anew, and do not keep what was measured (tensorrt alone)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Build what the cache has not, and say of each engine what it is.

    Raises:
        OptionsError: naming the flag and the limit.
        MissingDependencyError: TensorRT, or the GPU that it needs, is not here.
        EngineError: TensorRT refuses a graph.
        CacheError: the cache's folder cannot be used.
    """
    from cnnrnn.cli.build_show import Bar, describe
    from cnnrnn.runtime.engine.build import build_bundle

    started = time.monotonic()
    bundle = Bundle.open(arguments.bundle)
    try:
        plan = _plan(arguments, bundle)
    except OptionsError as error:
        raise OptionsError(_with_flags(str(error))) from error
    made = []
    with Bar(len(plan.engines)) as bar:
        for engine in build_bundle(plan, watcher=bar):
            told = engine.to_dict()
            if arguments.json:
                bar.clear()
                print_json(told)
            made.append((engine.planned, told))
    if not arguments.json:
        for line in describe(plan, made, time.monotonic() - started):
            print_line(line)
    return 0


def _plan(arguments: argparse.Namespace, bundle: Bundle) -> BuildPlan:
    from cnnrnn.runtime.engine.bucket import Bucket
    from cnnrnn.runtime.engine.build import plan_build

    beams = arguments.beams or (bundle.manifest.search.beams,)
    buckets = [Bucket(images, width) for images in arguments.batch for width in beams]
    options = BuildOptions(**{name: getattr(arguments, name) for name in _OPTIONS})
    return plan_build(bundle, arguments.backend, arguments.precision, buckets, options)


def _with_flags(message: str) -> str:
    """A message of the library's with the names that the command line has."""
    for name in ("images", "beams", "precision", *_OPTIONS):
        flag = "--" + _FLAGS.get(name, name).replace("_", "-")
        message = re.sub(rf"\b{name}='?([^\s';]+)'?", rf"{flag} \1", message)
        if "_" in name:
            message = re.sub(rf"\b{name}\b", flag, message)
    return message


def _integers(text: str) -> tuple[int, ...]:
    return tuple(integer(part.strip()) for part in text.split(","))


def _texts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))
