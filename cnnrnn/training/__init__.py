"""Training a captioner end to end, and its checkpoints."""

from cnnrnn.training.checkpoint import LoadedModel, load_model
from cnnrnn.training.config import TrainConfig
from cnnrnn.training.trainer import TrainingResult, train

__all__ = ["LoadedModel", "TrainConfig", "TrainingResult", "load_model", "train"]
