"""The runtime: bundle in, pictures in, text out. It imports neither torch nor ``cnnrnn.export``."""

if __name__ != "cnnrnn.runtime":
    raise ImportError(f"import it as cnnrnn.runtime, not as {__name__}: this folder is a part of cnnrnn")
