"""The kernels between the engines of a step: they keep what a step chose, count, and say when to stop.

``progress`` is two int32: the steps that count, and whether the search has stopped. A step that comes after
that changes neither the history nor the count, so that a loop may take steps too many.
"""

from __future__ import annotations

SOURCE = r"""
extern "C" __device__ __cudart_builtin__ void
cudaGraphSetConditional(cudaGraphConditionalHandle handle, unsigned int value);

// Copies a row of `words` words into the history, as the row of this step.
extern "C" __global__ void keep(int *history, const int *row, int words, const int *progress) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (!progress[1] && i < words) history[(long long)progress[0] * words + i] = row[i];
}

// Counts a step; stops after the last one, where all images are done, and where the host says it is late.
extern "C" __global__ void advance(int *progress, const int *all_done, const volatile int *late, int limit) {
    if (progress[1]) return;
    progress[0] += 1;
    progress[1] = all_done[0] > 0 || progress[0] >= limit || late[0] != 0;
}

// Lets the loop of a graph go on.
extern "C" __global__ void go_on(cudaGraphConditionalHandle handle, const int *progress) {
    cudaGraphSetConditional(handle, progress[1] ? 0u : 1u);
}
"""
KEEP_BLOCK = 256
