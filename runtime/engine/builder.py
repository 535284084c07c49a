"""One engine of one ONNX graph: the same calls for TensorRT 10.3 to 11 and TensorRT-RTX.

The network is strongly typed, so that every tensor has the type that the graph gives it; each input has one
shape. No ``Runtime`` is made: without a driver its constructor ends the process.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from cnnrnn.core.errors import EngineError
from cnnrnn.runtime.engine.bucket import Shapes
from cnnrnn.runtime.engine.library import TENSORRT_RTX, Library
from cnnrnn.runtime.engine.log import Messages, listening
from cnnrnn.runtime.engine.options import HARDWARE_LEVELS, BuildOptions
from cnnrnn.runtime.engine.parser_errors import build_error, dynamic_error, names, parser_error
from cnnrnn.runtime.engine.progress import Progress, Watch, monitor, stopped_by_ctrl_c
from cnnrnn.runtime.engine.report import (
    EngineReport,
    TensorReport,
    count_float_casts,
    count_layers,
    read_bytes,
    read_engine_layers,
    read_tensor,
)

MIB = 1024**2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Built:
    """A new engine, what is to be said about it, and the timing cache as the build left it, or nothing."""

    engine: bytes
    report: EngineReport
    timing_cache: bytes = b""


def build_engine(
    library: Library,
    graph: bytes,
    shapes: Shapes,
    options: BuildOptions,
    *,
    timing_cache: bytes | None = None,
    progress: Progress | None = None,
    name: str = "the graph",
) -> Built:
    """Build an engine. One build runs at a time in a process; others wait for their turn.

    Args:
        graph: ONNX bytes with their weights inside.
        shapes: the shape of every input of the graph.
        options: as `cnnrnn.runtime.engine.options.check` gives them for this library.
        timing_cache: of an earlier build with the same library and GPU; one that does not fit is not used.
        progress: called now and then; what it raises stops the build and comes out of this call.
        name: the graph's file, for messages.

    Raises:
        EngineError: TensorRT refuses the graph, or cannot build it so.
        KeyboardInterrupt: Ctrl-C; the build was stopped.
    """
    started = time.monotonic()
    watch = Watch(progress)
    with listening(library.module) as (logger, messages), stopped_by_ctrl_c(watch):
        builder = library.module.Builder(logger)
        network = _parse(library, builder, logger, graph, name)
        watch.reraise()
        inputs = _inputs(network, shapes, name)
        config = _configure(library, builder, options)
        _add_profile(builder, config, shapes, name)
        config.progress_monitor = monitor(library.module, watch)
        cache = _use_timing_cache(library, config, options, timing_cache)
        plan = builder.build_serialized_network(network, config)
        watch.reraise()
        if plan is None:
            raise build_error(library, name, messages, options.workspace_mib)
        engine = bytes(plan)
        report = _report(library, network, options, inputs, messages, len(engine), name, started)
        kept = b"" if cache is None else bytes(cache.serialize())
    _log.info("built %s: %d bytes in %.2f s", name, len(engine), report.build_seconds)
    return Built(engine, report, kept)


def _parse(library: Library, builder: Any, logger: Any, graph: bytes, name: str) -> Any:
    module = library.module
    network = builder.create_network(1 << int(module.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = module.OnnxParser(network, logger)
    if not parser.parse(graph):
        raise parser_error(library, graph, name, parser, network)
    dynamic = dynamic_error(library, name, network)
    if dynamic is not None:
        raise dynamic
    if not network.num_outputs:
        raise EngineError(
            f"{name}: {library.title} finds no output in its {len(graph)} bytes, so it is no ONNX graph; "
            "export the bundle again"
        )
    return network


def _inputs(network: Any, shapes: Shapes, name: str) -> tuple[TensorReport, ...]:
    """Give the network's inputs the shapes wanted, where the graph lets them have those.

    So the whole network is static, and every output's shape is known.
    """
    inputs = []
    for tensor in (network.get_input(index) for index in range(network.num_inputs)):
        found, wanted = tuple(tensor.shape), shapes.get(tensor.name)
        if wanted is None:
            raise EngineError(
                f"{name}: no shape is given for input {tensor.name!r}; given are {names(shapes)}"
            )
        fits = len(found) == len(wanted) and all(
            one in (-1, other) for one, other in zip(found, wanted, strict=True)
        )
        if not fits:
            raise EngineError(
                f"{name}: input {tensor.name!r} is {found} in the graph, with -1 for a free size; {wanted} "
                "does not fit it"
            )
        tensor.shape = wanted
        inputs.append(read_tensor(tensor))
    unknown = sorted(set(shapes) - {tensor.name for tensor in inputs})
    if unknown:
        raise EngineError(
            f"{name}: the graph has no input {unknown[0]!r}; it has {names(tensor.name for tensor in inputs)}"
        )
    return tuple(inputs)


def _configure(library: Library, builder: Any, options: BuildOptions) -> Any:
    module = library.module
    config = builder.create_builder_config()
    # With it the log names the engine's layers, and the engine keeps them for the inspector.
    config.profiling_verbosity = module.ProfilingVerbosity.DETAILED
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(module.MemoryPoolType.WORKSPACE, options.workspace_mib * MIB)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.hardware_compatible is not None:
        level = HARDWARE_LEVELS[options.hardware_compatible]
        config.hardware_compatibility_level = getattr(module.HardwareCompatibilityLevel, level)
    if not options.tf32:  # TensorRT's own default allows it
        config.clear_flag(module.BuilderFlag.TF32)
    if options.version_compatible:
        config.set_flag(module.BuilderFlag.VERSION_COMPATIBLE)
    if options.refit:
        config.set_flag(module.BuilderFlag.REFIT)
    if library.ahead_of_time:
        targets = options.compute_capabilities
        config.num_compute_capabilities = len(targets)
        for index, target in enumerate(targets):
            member = getattr(module.ComputeCapability, f"SM{target.replace('.', '')}")
            config.set_compute_capability(member, index)
    return config


def _add_profile(builder: Any, config: Any, shapes: Shapes, name: str) -> None:
    profile = builder.create_optimization_profile()
    for tensor, shape in shapes.items():
        profile.set_shape(tensor, shape, shape, shape)
    if config.add_optimization_profile(profile) < 0:
        raise EngineError(f"{name}: TensorRT does not accept the shapes {shapes} as a profile")


def _use_timing_cache(library: Library, config: Any, options: BuildOptions, known: bytes | None) -> Any:
    """The cache that the build reads and fills; None without one.

    TensorRT-RTX has none: its builder measures nothing, and asking for one would ask for a GPU.
    """
    if library.name == TENSORRT_RTX:
        return None
    if not options.timing_cache:
        config.set_flag(library.module.BuilderFlag.DISABLE_TIMING_CACHE)
        return None
    for data in (known, b""):
        if data is None:
            continue
        cache = config.create_timing_cache(data)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return cache
        _log.info("the timing cache of %d bytes is of another TensorRT or GPU; a new one is begun", len(data))
    return None


def _report(
    library: Library,
    network: Any,
    options: BuildOptions,
    inputs: tuple[TensorReport, ...],
    messages: Messages,
    size: int,
    name: str,
    started: float,
) -> EngineReport:
    types = count_layers(network)
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    return EngineReport(
        name=name,
        library=library.name,
        version=library.version,
        architecture=options.architecture,
        inputs=inputs,
        outputs=tuple(read_tensor(tensor) for tensor in outputs),
        layers=network.num_layers,
        casts=types.get("cast", 0),
        float_casts=count_float_casts(network, library.module.LayerType.CAST),
        layer_types=types,
        engine_layers=read_engine_layers(messages),
        bytes=size,
        build_seconds=round(time.monotonic() - started, 3),
        weights_bytes=read_bytes(messages, "Total Weights Memory"),
        activation_bytes=read_bytes(messages, "Total Activation Memory"),
        warnings=tuple(messages.warnings()),
    )
