"""Captioned pictures in the formats that they are published in, each recognised by its content."""

from cnnrnn.data.readers.read import read_captions, read_source
from cnnrnn.data.readers.sample import Fault, PictureFile, Reading, Sample, ShardPicture
from cnnrnn.data.readers.source import KINDS, Source

__all__ = [
    "KINDS",
    "Fault",
    "PictureFile",
    "Reading",
    "Sample",
    "ShardPicture",
    "Source",
    "read_captions",
    "read_source",
]
