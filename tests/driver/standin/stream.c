// Streams: queues that run when the host waits for them, or for an event behind which they are.
#include "standin.h"

static Stream *streams[MAX_STREAMS];
static int slots_taken;

Stream *stream_new(Context *context, unsigned flags, int priority) {
    if (slots_taken == MAX_STREAMS) {
        report("more than %d streams were made; the stand-in keeps no clock for another", MAX_STREAMS);
        return NULL;
    }
    Stream *stream = object_new(A_STREAM, sizeof *stream);
    stream->context = context;
    stream->flags = flags;
    stream->priority = priority;
    stream->slot = slots_taken++;
    streams[stream->slot] = stream;
    return stream;
}

static Stream *default_stream(Context *context, bool per_thread) {
    Stream **stream = per_thread ? &context->per_thread : &context->legacy;
    if (!*stream) *stream = object_stays(stream_new(context, CU_STREAM_DEFAULT, 0));
    return *stream;
}

// The default streams get no order of their own with others: whoever relies on it is told of a race.
Stream *stream_find(CUstream handle, CUresult *error) {
    Context *context = context_current();
    *error = CUDA_SUCCESS;
    if (!handle || handle == CU_STREAM_LEGACY) {
        if (!capture_is_open(context)) return default_stream(context, false);
        *error = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
        return NULL;
    }
    if (handle == CU_STREAM_PER_THREAD) return default_stream(context, true);
    Stream *stream = object_find(A_STREAM, handle);
    if (stream && stream->context != context)
        report("stream %d of one context was used while another was current", stream->object.number);
    if (stream && stream->context == context) return stream;
    *error = CUDA_ERROR_INVALID_HANDLE;
    return NULL;
}

CUresult stream_submit(Stream *stream, Operation *operation) {
    if (stream->capture) return capture_submit(stream, operation);
    Entry *entry = calloc(1, sizeof *entry);
    *entry = (Entry){.operation = *operation, .number = ++stream->queued};
    clock_join(&stream->clock, &host_clock);
    stream->clock.epochs[stream->slot] = (uint32_t)entry->number;
    for (int i = 0; i < operation->access_count; i++)
        order_check(operation->accesses[i], stream->slot, &stream->clock, operation->name);
    if (operation->does == DOES_GRAPH) exec_check_launch(operation->exec, stream, entry->number);
    if (stream->tail)
        stream->tail->next = entry;
    else
        stream->head = entry;
    stream->tail = entry;
    return CUDA_SUCCESS;
}

CUresult stream_run_until(Stream *stream, uint64_t number) {
    while (stream->ran < number && stream->head && !stream->context->broken) {
        Entry *entry = stream->head;
        stream->head = entry->next;
        if (!stream->head) stream->tail = NULL;
        const CUresult error = operation_run(&entry->operation, stream);
        stream->ran = entry->number;
        free(entry);
        if (error) stream->context->broken = error;
    }
    return stream->context->broken;
}

CUresult stream_run_all(Context *context) {
    for (int slot = 0; slot < slots_taken; slot++)
        if (streams[slot]->context == context) stream_run_until(streams[slot], streams[slot]->queued);
    for (int slot = 0; slot < slots_taken; slot++)
        if (streams[slot]->context == context) clock_join(&host_clock, &streams[slot]->clock);
    return context->broken;
}

Stream *stream_at(int slot) {
    return slot < slots_taken ? streams[slot] : NULL;
}

// A free that is queued needs nobody to wait for it.
static bool is_working(const Stream *stream) {
    for (const Entry *entry = stream->head; entry; entry = entry->next)
        switch (entry->operation.does) {
        case DOES_GIVE_BACK:
        case DOES_RECORD:
        case DOES_WAIT:
        case DOES_TAKE: break;
        default: return true;
        }
    return false;
}

CUresult cuStreamCreateWithPriority(CUstream *made, unsigned flags, int priority) {
    ENTER(NEEDS_CONTEXT);
    if (!made || flags & ~CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    Stream *stream = stream_new(context_current(), flags, priority);
    *made = (CUstream)stream;
    return stream ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuStreamCreate(CUstream *made, unsigned flags) {
    ENTER(NEEDS_CONTEXT);
    if (!made || flags & ~CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    Stream *stream = stream_new(context_current(), flags, 0);
    *made = (CUstream)stream;
    return stream ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

// As the driver, it returns at once; what is queued still runs, and here it runs now.
CUresult cuStreamDestroy(CUstream handle) {
    ENTER(NEEDS_CONTEXT | RELEASES);
    Stream *stream = object_find(A_STREAM, handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture) return capture_refuses(stream, __func__);
    if (is_working(stream)) report("stream %d was destroyed with work in flight", stream->object.number);
    stream_run_until(stream, stream->queued);
    object_end(stream);
    GIVEN_BACK;
}

CUresult cuStreamSynchronize(CUstream handle) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    Stream *stream = stream_find(handle, &error);
    if (!stream) return error;
    if (stream->capture) return capture_refuses(stream, __func__);
    count(COUNT_SYNCHRONIZES, 1);
    error = stream_run_until(stream, stream->queued);
    clock_join(&host_clock, &stream->clock);
    return error;
}

// A GPU gets on while the host asks: each question lets one operation run.
CUresult cuStreamQuery(CUstream handle) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    Stream *stream = stream_find(handle, &error);
    if (!stream) return error;
    if (stream->capture) return capture_refuses(stream, __func__);
    error = stream_run_until(stream, stream->ran + 1);
    if (error) return error;
    if (stream->ran < stream->queued) return CUDA_ERROR_NOT_READY;
    clock_join(&host_clock, &stream->clock);
    return CUDA_SUCCESS;
}

CUresult cuStreamGetFlags(CUstream handle, unsigned *flags) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    const Stream *stream = stream_find(handle, &error);
    if (stream) *flags = stream->flags;
    return error;
}

CUresult cuStreamGetPriority(CUstream handle, int *priority) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    const Stream *stream = stream_find(handle, &error);
    if (stream) *priority = stream->priority;
    return error;
}

CUresult cuStreamGetId(CUstream handle, unsigned long long *id) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    const Stream *stream = stream_find(handle, &error);
    if (stream) *id = stream->object.number;
    return error;
}

CUresult cuStreamGetDevice(CUstream handle, CUdevice *device) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    const Stream *stream = stream_find(handle, &error);
    if (stream) *device = stream->context->device;
    return error;
}

CUresult cuStreamGetCtx(CUstream handle, CUcontext *context) {
    CUresult error = CUDA_SUCCESS;
    ENTER(NEEDS_CONTEXT);
    const bool is_default = !handle || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD;
    const Stream *stream = is_default ? stream_find(handle, &error) : object_find(A_STREAM, handle);
    if (stream)
        *context = (CUcontext)stream->context;
    else if (!error)
        error = CUDA_ERROR_INVALID_HANDLE;
    return error;
}

CUresult cuStreamGetCtx_v2(CUstream handle, CUcontext *context, CUgreenCtx *green) {
    if (green) *green = NULL;
    return cuStreamGetCtx(handle, context);
}
