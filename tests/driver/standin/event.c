// Events: a place in a stream that the host or another stream can wait for.
#include "standin.h"
#include <time.h>

static Event *of_current_context(CUevent handle) {
    Event *event = object_find(AN_EVENT, handle);
    if (!event || event->context == context_current()) return event;
    report("event %d of one context was used while another was current", event->object.number);
    return NULL;
}

void event_reached(Event *event, const Stream *stream, uint64_t record) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (event->stream == stream && event->record == record)
        event->when_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

CUresult cuEventCreate(CUevent *made, unsigned flags) {
    ENTER(NEEDS_CONTEXT);
    Event *event = object_new(AN_EVENT, sizeof *event);
    event->context = context_current();
    event->flags = flags;
    *made = (CUevent)event;
    return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent handle) {
    ENTER(NEEDS_CONTEXT | RELEASES);
    Event *event = object_find(AN_EVENT, handle);
    if (!event) return CUDA_ERROR_INVALID_HANDLE;
    object_end(event);
    GIVEN_BACK;
}

static CUresult record_captured(Event *event, Stream *stream) {
    if (stream->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    event->capture = stream->capture;
    event->nodes = realloc(event->nodes, (stream->last_count + 1) * sizeof *event->nodes);
    if (stream->last_count) memcpy(event->nodes, stream->last, stream->last_count * sizeof *event->nodes);
    event->node_count = stream->last_count;
    return CUDA_SUCCESS;
}

static CUresult record(CUevent event_handle, CUstream stream_handle) {
    CUresult error;
    Event *event = of_current_context(event_handle);
    Stream *stream = stream_find(stream_handle, &error);
    if (!event || !stream) return error ? error : CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture) return record_captured(event, stream);
    Operation operation = {.does = DOES_RECORD, .event = event, .record = stream->queued + 1};
    error = stream_submit(stream, &operation);
    event->capture = NULL;
    event->stream = stream;
    event->record = stream->queued;
    event->when_ns = 0;
    event->clock = stream->clock;
    return error;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    ENTER(NEEDS_CONTEXT);
    return record(event, stream);
}

CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned flags) {
    ENTER(NEEDS_CONTEXT);
    return flags ? CUDA_ERROR_INVALID_VALUE : record(event, stream);
}

CUresult cuEventSynchronize(CUevent handle) {
    ENTER(NEEDS_CONTEXT);
    Event *event = of_current_context(handle);
    if (!event) return CUDA_ERROR_INVALID_HANDLE;
    if (event->capture) return CUDA_ERROR_CAPTURED_EVENT;
    count(COUNT_SYNCHRONIZES, 1);
    if (!event->stream) return CUDA_SUCCESS;
    const CUresult error = stream_run_until(event->stream, event->record);
    clock_join(&host_clock, &event->clock);
    return error;
}

// Each question lets one operation of the event's stream run, as in cuStreamQuery.
CUresult cuEventQuery(CUevent handle) {
    ENTER(NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
    Event *event = of_current_context(handle);
    if (!event) return CUDA_ERROR_INVALID_HANDLE;
    if (event->capture) return CUDA_ERROR_CAPTURED_EVENT;
    if (!event->stream) return CUDA_SUCCESS;
    if (event->stream->ran < event->record) {
        const CUresult error = stream_run_until(event->stream, event->stream->ran + 1);
        if (error) return error;
    }
    if (event->stream->ran < event->record) return CUDA_ERROR_NOT_READY;
    clock_join(&host_clock, &event->clock);
    return CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float *ms, CUevent first_handle, CUevent last_handle) {
    ENTER(NEEDS_CONTEXT);
    const Event *first = of_current_context(first_handle), *last = of_current_context(last_handle);
    if (!first || !last || !first->stream || !last->stream) return CUDA_ERROR_INVALID_HANDLE;
    if ((first->flags | last->flags) & CU_EVENT_DISABLE_TIMING) return CUDA_ERROR_INVALID_HANDLE;
    if (!first->when_ns || !last->when_ns) return CUDA_ERROR_NOT_READY;
    *ms = (float)((double)(last->when_ns - first->when_ns) * 1e-6);
    return CUDA_SUCCESS;
}

// What drivers before CUDA 12.8 have alone: the header's name for it is the newer function's.
#undef cuEventElapsedTime
CUresult cuEventElapsedTime(float *ms, CUevent first, CUevent last) {
    return cuEventElapsedTime_v2(ms, first, last);
}

static CUresult wait_captured(Stream *stream, const Event *event) {
    if (event->capture->ended) return CUDA_ERROR_CAPTURED_EVENT;
    if (stream->capture && stream->capture != event->capture) {
        stream->capture->invalid = event->capture->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_MERGE;
    }
    stream->capture = event->capture;
    capture_follow(stream, event->nodes, event->node_count);
    return CUDA_SUCCESS;
}

CUresult cuStreamWaitEvent(CUstream stream_handle, CUevent event_handle, unsigned flags) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    (void)flags;
    Stream *stream = stream_find(stream_handle, &error);
    Event *event = object_find(AN_EVENT, event_handle);
    if (!stream || !event) return error ? error : CUDA_ERROR_INVALID_HANDLE;
    if (event->capture) return wait_captured(stream, event);
    if (stream->capture) {
        stream->capture->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    }
    if (!event->stream) return CUDA_SUCCESS;
    clock_join(&stream->clock, &event->clock);
    Operation operation = {.does = DOES_WAIT, .recorded = event->stream, .record = event->record};
    return stream_submit(stream, &operation);
}
