// One piece of work: what it touches, and how it runs.
#include "standin.h"

void operation_touches(Operation *operation, uintptr_t at, size_t bytes, bool writes) {
    const int n = operation->access_count++;
    operation->accesses = realloc(operation->accesses, (n + 1) * sizeof *operation->accesses);
    operation->accesses[n] = (Access){at, bytes, writes};
}

static Place place_of(uintptr_t address) {
    const Allocation *a = memory_at(address);
    return a ? a->place : ON_HOST;
}

static void run_copy(const Operation *o) {
    static const int counters[2][2] = {{COUNT_D2D, COUNT_D2H}, {COUNT_H2D, -1}};
    const int counter = counters[place_of(o->from)][place_of(o->to)];
    memmove((void *)o->to, (const void *)o->from, o->bytes);
    if (counter < 0) return;
    count(counter, 1);
    count(counter + 1, o->bytes);
}

static void run_set(const Operation *o) {
    for (size_t at = 0; at < o->bytes; at += o->width)
        memcpy((void *)(o->to + at), &o->value, o->width);
}

static CUresult run_call(const Operation *o) {
    count(COUNT_HOST_FUNCTIONS, 1);
    if (o->function) {
        o->function(o->user);
        return CUDA_SUCCESS;
    }
    if (!o->work(o->user)) return CUDA_SUCCESS;
    report("'%s' failed", o->name);
    return CUDA_ERROR_LAUNCH_FAILED;
}

static CUresult run_kernel(const Operation *o) {
    const unsigned grid[6] = {o->shape.gridDimX,  o->shape.gridDimY,  o->shape.gridDimZ,
                              o->shape.blockDimX, o->shape.blockDimY, o->shape.blockDimZ};
    count(COUNT_KERNELS, 1);
    if (!o->kernel->work(o->arguments, grid)) return CUDA_SUCCESS;
    report("kernel '%s' failed", o->name);
    return CUDA_ERROR_LAUNCH_FAILED;
}

static CUresult run_body(const Operation *o, Stream *stream) {
    const int limit = 1000000;
    const bool is_while = o->width;
    for (int turn = 0; o->condition->value; turn++) {
        if (turn == limit) {
            report("a while-node ran %d times, and its condition never became 0", limit);
            return CUDA_ERROR_LAUNCH_TIMEOUT;
        }
        const CUresult error = graph_run(o->body, stream);
        if (error || !is_while) return error;
    }
    return CUDA_SUCCESS;
}

static CUresult run_opened(const Operation *o) {
    switch (o->does) {
    case DOES_COPY: run_copy(o); return CUDA_SUCCESS;
    case DOES_SET: run_set(o); return CUDA_SUCCESS;
    case DOES_CALL: return run_call(o);
    case DOES_KERNEL: return run_kernel(o);
    default: return CUDA_SUCCESS;
    }
}

CUresult operation_run(const Operation *o, Stream *stream) {
    switch (o->does) {
    case DOES_GRAPH: return exec_run(o->exec, stream);
    case DOES_REPEAT: return run_body(o, stream);
    case DOES_WAIT: return stream_run_until(o->recorded, o->record);
    case DOES_GIVE_BACK: return memory_give_back(o->allocation);
    case DOES_RECORD: event_reached(o->event, stream, o->record); return CUDA_SUCCESS;
    case DOES_TAKE:
    case DOES_NOTHING: return CUDA_SUCCESS;
    default: break;
    }
    log_line(LINES_RUNS, "%s", o->name);
    CUresult error = memory_open(o->accesses, o->access_count, o->does == DOES_COPY, o->name);
    if (error) return error;
    running = o->name;
    error = run_opened(o);
    running = NULL;
    memory_close(o->accesses, o->access_count, o->name);
    return error;
}
