"""Engines: ONNX graphs compiled by TensorRT 10.3 to 11 or TensorRT-RTX, without torch and without onnx.

| file | idea |
|---|---|
| ``library`` | which TensorRT is here |
| ``device`` | which GPU is here |
| ``options`` | what may be chosen, and what each version lacks |
| ``bucket`` | the sizes an engine is built for |
| ``builder`` | one graph to one engine |
| ``build`` | all graphs of a bundle, through the cache |
| ``cache`` | built engines on disk: each built once, loaded only as it was written |
| ``cache_entry``, ``cache_folder`` | one signed file of it; whose folder it is, locks and whole writes |
| ``cache_stale`` | why an entry is of no use here |
| ``report``, ``log``, ``progress`` | what a build made, said and how far it is |
| ``parser_errors``, ``onnx_nodes`` | what TensorRT refuses, in terms of the model |
"""
