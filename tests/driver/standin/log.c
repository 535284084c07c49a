// What was called, what ran and what was wrong, for the tests to read; and calls that are made to fail.
#include "standin.h"
#include <stdarg.h>
#include <unistd.h>

typedef struct {
    char **lines;
    int n, room;
} Lines;

static Lines texts[LINES_KINDS];
static uint64_t counts[COUNT_KINDS];
static int fail_at, fail_with, fail_seen; // the call that fails, counted from 1; 0: none
static pid_t owner;
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

void log_line(int kind, const char *format, ...) {
    char *text;
    va_list rest;
    va_start(rest, format);
    if (vasprintf(&text, format, rest) < 0) abort();
    va_end(rest);
    Lines *lines = &texts[kind];
    if (lines->n == lines->room) {
        lines->room = lines->room ? 2 * lines->room : 64;
        lines->lines = realloc(lines->lines, lines->room * sizeof *lines->lines);
    }
    lines->lines[lines->n++] = text;
}

void count(int what, uint64_t by) {
    counts[what] += by;
}

static CUresult due(int flags) {
    if (!(flags & (NEEDS_INIT | NEEDS_CONTEXT))) return CUDA_SUCCESS;
    if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
    if (owner && owner != getpid()) {
        report("the driver was called in a child process that was forked after it started");
        return CUDA_ERROR_NOT_INITIALIZED;
    }
    if (!(flags & NEEDS_CONTEXT)) return CUDA_SUCCESS;
    const Context *context = context_current();
    if (!context || !context->object.alive) return CUDA_ERROR_INVALID_CONTEXT;
    if (context->broken) return context->broken;
    if ((flags & UNSAFE_IN_CAPTURE) && capture_forbids_unsafe_calls())
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return CUDA_SUCCESS;
}

CUresult enter(const char *name, int flags, Call *call) {
    pthread_mutex_lock(&lock);
    if (running) { // the lock is this thread's already
        report("'%s' called %s: work on a stream must not call the driver", running, name);
        return CUDA_ERROR_NOT_PERMITTED;
    }
    if (initialized && !owner) owner = getpid();
    const char *version = strstr(name, "_v");
    log_line(LINES_CALLS, "%.*s", version ? (int)(version - name) : (int)strlen(name), name);
    if (++fail_seen == fail_at) return call->planted = fail_with;
    return due(flags);
}

void leave(Call *call) {
    (void)call;
    pthread_mutex_unlock(&lock);
}

EXPORT int standin_line_count(int kind) {
    return texts[kind].n;
}
EXPORT const char *standin_line(int kind, int index) {
    return texts[kind].lines[index];
}
EXPORT uint64_t standin_count(int what) {
    return counts[what];
}
EXPORT int standin_alive(int kind) {
    return objects_alive(kind);
}
EXPORT int standin_memory_alive(int place) {
    return memory_alive(place);
}

// The n-th call from now fails with this error, and the others do not; 0: none does.
EXPORT void standin_fail_call(int n, int error) {
    fail_at = n;
    fail_with = error;
    fail_seen = 0;
}

// Forgets what was logged, counted and reported so far.
EXPORT void standin_reset(void) {
    for (int kind = 0; kind < LINES_KINDS; kind++) {
        for (int i = 0; i < texts[kind].n; i++)
            free(texts[kind].lines[i]);
        texts[kind].n = 0;
    }
    memset(counts, 0, sizeof counts);
}
