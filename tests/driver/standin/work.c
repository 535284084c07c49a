// Host functions on a stream, and engines: work of the tests that says what it reads and writes.
#include "standin.h"

CUresult cuLaunchHostFunc(CUstream handle, CUhostFn function, void *user) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    Stream *stream = stream_find(handle, &error);
    if (!stream) return error;
    if (!function) return CUDA_ERROR_INVALID_VALUE;
    Operation operation = {.does = DOES_CALL, .name = "host function", .function = function, .user = user};
    return stream_submit(stream, &operation);
}

// Queues `work`, which gives 0, as an engine's `enqueue` queues kernels: on a stream that may be captured.
// While it runs, the memory that it declared is open to it, for writing only where it says so, and no other.
EXPORT CUresult standin_enqueue(CUstream handle, const char *name, HostWork work, void *user,
                                const Access *accesses, int n) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    Stream *stream = stream_find(handle, &error);
    if (!stream) return error;
    Operation operation = {.does = DOES_CALL, .work = work, .user = user};
    snprintf(operation.name, sizeof operation.name, "%s", name);
    for (int i = 0; i < n; i++)
        operation_touches(&operation, accesses[i].at, accesses[i].bytes, accesses[i].writes);
    return stream_submit(stream, &operation);
}
