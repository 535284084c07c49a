"""Captioned pictures, and pictures with questions, in the formats that they are published in.

Each format is recognised by its content.
"""

from cnnrnn.data.readers.generated import Generated, GeneratedPicture
from cnnrnn.data.readers.read import read_captions, read_source
from cnnrnn.data.readers.sample import Fault, PictureFile, Reading, Sample, ShardPicture
from cnnrnn.data.readers.source import EASY_VQA, KINDS, Source, source_of

__all__ = [
    "EASY_VQA",
    "KINDS",
    "Fault",
    "Generated",
    "GeneratedPicture",
    "PictureFile",
    "Reading",
    "Sample",
    "ShardPicture",
    "Source",
    "read_captions",
    "read_source",
    "source_of",
]
