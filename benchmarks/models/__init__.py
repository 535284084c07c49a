"""Every encoder and decoder of the field through training, export and engines, and what each costs.

    python -m benchmarks.models [--only NAME ...] [--json FILE] [--markdown FILE]

Each is built with random weights and taught a few pictures, each by words of its own: a step of the whole
network, whose every gradient has to be finite, and then a fit of the output layer. It is exported through the
parity gate, lowered to fp16 through the precision gate, and compiled by TensorRT-RTX, which needs no GPU. Its
fp32 graphs are timed on ONNX Runtime's CPU, one image, beam 5.

With ``--only``, rows that FILE has already are kept, where they are of the same machine and versions.
"""
