"""One process of a run, started without ``torchrun`` by a server that has imported torch already."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from cnnrnn.core.errors import CnnrnnError
from cnnrnn.training import TrainConfig
from cnnrnn.training.processes import join_processes
from cnnrnn.training.trainer import Trainer
from tests.training.runs import before_step


def run_together(config: TrainConfig, *, resume: bool = False, die_at: int = -1) -> list[int | None]:
    """Trains in two processes and gives their exit codes.

    Args:
        config: of the run.
        resume: whether it goes on.
        die_at: the second process is killed when it has done that many steps; -1 lets it live.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["cnnrnn.training.trainer", "cnnrnn.models.captioner"])
    processes: list[ForkServerProcess] = []
    for rank in range(2):
        place = (rank, port, die_at if rank == 1 else -1)
        processes.append(context.Process(target=one_of_two, args=(config.to_dict(), resume, place)))
        processes[-1].start()
    for process in processes:
        process.join(120)
        process.kill()
        process.join()
    return [process.exitcode for process in processes]


def one_of_two(values: dict[str, object], resume: bool, place: tuple[int, int, int]) -> None:
    """Trains as torchrun's processes do; what went wrong is written beside the run's folder."""
    rank, port, die_at = place
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    config = TrainConfig.from_dict(values)
    try:
        with join_processes() as processes:
            trainer = Trainer(config, resume=resume, processes=processes)
            if die_at >= 0:
                before_step(trainer, die_at, lambda: os.kill(os.getpid(), signal.SIGKILL))
            trainer.run()
    except CnnrnnError as error:
        Path(f"{config.output}-{rank}.txt").write_text(f"{type(error).__name__}: {error}")
        sys.exit(error.exit_code)
