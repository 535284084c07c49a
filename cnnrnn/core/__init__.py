"""What training, export and runtime share: errors, the bundle and its manifest, tokenizer, search options.

Nothing here imports torch, ONNX, ONNX Runtime or OpenCV when it is imported.
"""
