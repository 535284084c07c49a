"""The backends that run on a GPU."""

ORT_CUDA = "ort-cuda"
TENSORRT = "tensorrt"
TENSORRT_RTX = "tensorrt-rtx"
DEVICE_BACKENDS = (TENSORRT, TENSORRT_RTX, ORT_CUDA)
