"""Other people's trained captioners as bundles, behind the same parity gate.

    >>> from cnnrnn.export.imports import ImportOptions, import_checkpoint   # doctest: +SKIP

Needs the extras ``export`` and ``train`` (torch, torchvision, onnx, onnxscript, onnxruntime).
"""

from cnnrnn.export.imports.imported import Imported, ImportOptions
from cnnrnn.export.imports.layouts import LAYOUTS, Layout, import_checkpoint, load_checkpoint

__all__ = ["LAYOUTS", "ImportOptions", "Imported", "Layout", "import_checkpoint", "load_checkpoint"]
