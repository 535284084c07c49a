// Copies and fills, queued on a stream; the calls without "Async" wait for theirs.
#include "standin.h"

static bool lies_on(uintptr_t address, Place place) {
    const Allocation *a = memory_at(address);
    return (a ? a->place : ON_HOST) == place;
}

// Memory of the host's own is read when the copy runs, as pinned memory is: it has to stay until then.
static void note_pageable(uintptr_t address) {
    if (!memory_at(address)) count(COUNT_PAGEABLE, 1);
}

static CUresult copy(uintptr_t to, uintptr_t from, size_t bytes, CUstream handle, bool waits) {
    CUresult error;
    Stream *stream = stream_find(handle, &error);
    if (!stream) return error;
    if (!to || !from) return CUDA_ERROR_INVALID_VALUE;
    if (!bytes) return CUDA_SUCCESS;
    if (waits && stream->capture) return capture_refuses(stream, "a copy that waits");
    Operation operation = {.does = DOES_COPY, .to = to, .from = from, .bytes = bytes};
    static const char *const names[2][2] = {{"copy device to device", "copy device to host"},
                                            {"copy host to device", "copy host to host"}};
    snprintf(operation.name, sizeof operation.name, "%s",
             names[lies_on(from, ON_HOST)][lies_on(to, ON_HOST)]);
    operation_touches(&operation, from, bytes, false);
    operation_touches(&operation, to, bytes, true);
    note_pageable(to);
    note_pageable(from);
    error = stream_submit(stream, &operation);
    if (error || !waits) return error;
    count(COUNT_SYNCHRONIZES, 1);
    error = stream_run_until(stream, stream->queued);
    clock_join(&host_clock, &stream->clock);
    return error;
}

static CUresult fill(uintptr_t to, uint32_t value, int width, size_t n, CUstream handle) {
    CUresult error;
    Stream *stream = stream_find(handle, &error);
    if (!stream) return error;
    if (!lies_on(to, ON_DEVICE) || to % width) return CUDA_ERROR_INVALID_VALUE;
    Operation operation = {
        .does = DOES_SET, .name = "fill", .to = to, .value = value, .width = width, .bytes = n * width};
    operation_touches(&operation, to, n * width, true);
    return stream_submit(stream, &operation);
}

CUresult cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    ENTER(NEEDS_CONTEXT);
    return copy(to, from, bytes, stream, false);
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
    ENTER(NEEDS_CONTEXT);
    if (!lies_on(to, ON_DEVICE) || !lies_on((uintptr_t)from, ON_HOST)) return CUDA_ERROR_INVALID_VALUE;
    return copy(to, (uintptr_t)from, bytes, stream, false);
}

CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    ENTER(NEEDS_CONTEXT);
    if (!lies_on((uintptr_t)to, ON_HOST) || !lies_on(from, ON_DEVICE)) return CUDA_ERROR_INVALID_VALUE;
    return copy((uintptr_t)to, from, bytes, stream, false);
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    ENTER(NEEDS_CONTEXT);
    if (!lies_on(to, ON_DEVICE) || !lies_on(from, ON_DEVICE)) return CUDA_ERROR_INVALID_VALUE;
    return copy(to, from, bytes, stream, false);
}

CUresult cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    ENTER(NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
    return copy(to, from, bytes, NULL, true);
}

CUresult cuMemcpyHtoD(CUdeviceptr to, const void *from, size_t bytes) {
    ENTER(NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
    return copy(to, (uintptr_t)from, bytes, NULL, true);
}

CUresult cuMemcpyDtoH(void *to, CUdeviceptr from, size_t bytes) {
    ENTER(NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
    return copy((uintptr_t)to, from, bytes, NULL, true);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t n, CUstream stream) {
    ENTER(NEEDS_CONTEXT);
    return fill(to, value, 1, n, stream);
}

CUresult cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t n, CUstream stream) {
    ENTER(NEEDS_CONTEXT);
    return fill(to, value, 2, n, stream);
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t n, CUstream stream) {
    ENTER(NEEDS_CONTEXT);
    return fill(to, value, 4, n, stream);
}
