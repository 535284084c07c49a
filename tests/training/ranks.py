"""One process of a run, started without ``torchrun`` by a server that has imported torch already."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from cnnrnn.core.errors import CnnrnnError
from cnnrnn.training import TrainConfig
from cnnrnn.training.processes import join_processes
from cnnrnn.training.trainer import Trainer
from tests.training.runs import before_step, make_tiny


def run_together(
    config: TrainConfig, *, resume: bool = False, signal_at: tuple[int, int] | None = None
) -> list[int | None]:
    """Trains in two processes and gives their exit codes.

    Args:
        config: of the run.
        resume: whether it goes on.
        signal_at: after how many steps the second process gets which signal.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cv2", "tests.training.ranks"])
    processes: list[ForkServerProcess] = []
    for rank in range(2):
        own = signal_at if rank == 1 else None
        arguments = (config.to_dict(), resume, (rank, port), own)
        processes.append(context.Process(target=one_of_two, args=arguments))
        processes[-1].start()
    for process in processes:
        process.join(120)
        process.kill()
        process.join()
    return [process.exitcode for process in processes]


def one_of_two(
    values: dict[str, object], resume: bool, place: tuple[int, int], signal_at: tuple[int, int] | None
) -> None:
    """Trains as torchrun's processes do; what went wrong is written beside the run's folder."""
    rank, port = place
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    config = TrainConfig.from_dict(values)
    make_tiny(pytest.MonkeyPatch())
    try:
        with join_processes() as processes:
            trainer = Trainer(config, resume=resume, processes=processes)
            if signal_at is not None:
                steps, number = signal_at
                before_step(trainer, steps, lambda: os.kill(os.getpid(), number))
            trainer.run()
    except CnnrnnError as error:
        Path(f"{config.output}-{rank}.txt").write_text(f"{type(error).__name__}: {error}")
        sys.exit(error.exit_code)
