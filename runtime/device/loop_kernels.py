"""The kernels around the engines of a search: they widen the first state, keep what a step chose, tell it to
the host, count, and say when to stop.

``progress`` is three int32: the steps that count, whether the search has stopped, and how many steps it may
take. A step that comes after the stop changes neither the history nor the count, so that a loop may take
steps too many.

What the host sees of a running search it reads in pinned memory, which these kernels write by themselves:
nothing is copied for it, and nothing waits.
"""

from __future__ import annotations

SOURCE = r"""
// Repeats each image's `bytes` of state `beams` times: (B, ...) to (B, K, ...), of `total` bytes.
extern "C" __global__ void widen(char *wide, const char *state, int bytes, int beams, long long total) {
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < total) wide[i] = state[i / ((long long)bytes * beams) * bytes + i % bytes];
}

// Copies a row of `words` words into the history, as the row of this step.
extern "C" __global__ void keep(int *history, const int *row, int words, const int *progress) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (!progress[1] && i < words) history[(long long)progress[0] * words + i] = row[i];
}

// Writes the first `words` words of a row where the host reads them, as the row of this step; one block.
extern "C" __global__ void tell(volatile int *rows, const int *row, int words, const int *progress) {
    if (progress[1]) return;
    for (int i = threadIdx.x; i < words; i += blockDim.x) rows[(long long)progress[0] * words + i] = row[i];
    __threadfence_system();
}

// Counts a step; stops after the last one, where all images are done, and where the host says it is late.
// Tells the host the count, below 0 once it is the last: in one word, so that both are always of one step.
extern "C" __global__ void advance(int *progress, const int *all_done, const volatile int *late,
                                   volatile int *told) {
    if (progress[1]) return;
    progress[0] += 1;
    progress[1] = all_done[0] > 0 || progress[0] >= progress[2] || late[0] != 0;
    told[0] = progress[1] ? -progress[0] : progress[0];
}
"""

# By itself, since a compiler before CUDA 12.4 does not know what a condition is.
WHILE_SOURCE = r"""
extern "C" __device__ __cudart_builtin__ void
cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned int value);

// Lets the loop of a graph go on.
extern "C" __global__ void go_on(cudaGraphConditionalHandle handle, const int *progress) {
    cudaGraphSetConditional(handle, progress[1] ? 0u : 1u);
}
"""
BLOCK = 256
