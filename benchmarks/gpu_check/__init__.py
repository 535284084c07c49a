"""All that only a GPU can prove, in one command that takes less than eight minutes.

    python -m benchmarks.gpu_check --out DIR [--captioner FOLDER] [--only CHECK ...] [--budget SECONDS]

It installs nothing, runs with what is there, and names what is missing, with the command for it. Every check
has a process of its own and a limit. After every check DIR/gpu_check.json is written anew, so that whatever
ends a check, or the run, loses nothing; DIR gets the table, the log and the profiler's traces too. A check is
ok, failed, missing (something is not installed), skipped (it has nothing to say here, or no time was left) or
not run (the run was ended before).

In order, with what each proves:

devices    there is a GPU, and its driver answers
provider   memory, copies, kernels, events, graphs and loops in them, through cuda.core and through pycuda
engine     TensorRT-RTX, TensorRT and ONNX Runtime make engines for this architecture, and they run
parity     each of them, in each precision, captions the shipped pictures as the CPU does in fp32
loops      `while`, `replay` and `launch` answer as the CPU does, and from the first step to the last no byte
           crosses between host and device and the host waits for nothing
trace      a profiler (CUPTI through torch, else Nsight Systems) sees no copy from the first step to the last
pycuda     the same search through pycuda
frames     a frame that is in device memory is captioned where it is
questions  several questions about one picture, which is encoded once, and one about each of several
sharing    two threads, two models, two streams answer as one alone
failures   without memory there is an error, then answers (all of the GPU's memory is taken for a moment); a
           damaged engine is built again
captioner  ResNet-50 and an attention LSTM, V 10,000, H 512, random weights: made here, or --captioner
speed      its milliseconds by stage: p50, p90, p99, beam 1, 5 and 10, 20 steps, batch 1, 4 and 16
peer       the same in PyTorch, eager, captured in CUDA graphs, and compiled by torch.compile and captured

Where a captioner cannot be made (PyTorch is there without its exporter, say), make it elsewhere:

    python -m benchmarks.gpu_check.captioner FOLDER

Without a GPU the same checks run over the stand-in driver of the tests, which needs the folder ``tests``, gcc
and cuda.core. The JSON is the same then, with the device ``stand-in``, fewer pictures and
``times_are_meaningless``.

Exit codes: 0 all that ran is good, 1 a check failed or was not reached, 3 there is no GPU.
"""
