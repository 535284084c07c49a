"""Training a captioner end to end, and its checkpoints."""

from cnnrnn.training.checkpoint import LoadedModel, load_model
from cnnrnn.training.config import TrainConfig
from cnnrnn.training.processes import is_first_process
from cnnrnn.training.trainer import TrainingResult, train

__all__ = ["LoadedModel", "TrainConfig", "TrainingResult", "is_first_process", "load_model", "train"]
