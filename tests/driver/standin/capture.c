// Stream capture: what is queued on a capturing stream becomes nodes of a graph, and nothing runs.
#include "standin.h"

static Capture *captures; // those that are open
static uint64_t captures_begun;
static __thread CUstreamCaptureMode thread_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;

void capture_follow(Stream *stream, Node *const *nodes, int n) {
    stream->last = realloc(stream->last, (stream->last_count + n + 1) * sizeof *stream->last);
    for (int i = 0; i < n; i++) {
        bool known = false;
        for (int j = 0; j < stream->last_count; j++)
            known |= stream->last[j] == nodes[i];
        if (!known) stream->last[stream->last_count++] = nodes[i];
    }
}

static CUgraphNodeType type_of(Does does) {
    switch (does) {
    case DOES_COPY: return CU_GRAPH_NODE_TYPE_MEMCPY;
    case DOES_SET: return CU_GRAPH_NODE_TYPE_MEMSET;
    case DOES_CALL: return CU_GRAPH_NODE_TYPE_HOST;
    case DOES_KERNEL: return CU_GRAPH_NODE_TYPE_KERNEL;
    default: return CU_GRAPH_NODE_TYPE_EMPTY;
    }
}

CUresult capture_submit(Stream *stream, Operation *operation) {
    if (stream->capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (operation->does == DOES_GRAPH || operation->does == DOES_TAKE || operation->does == DOES_GIVE_BACK)
        return capture_refuses(stream, operation->name);
    Node *node = graph_append(stream->capture->graph, operation, type_of(operation->does), stream->last,
                              stream->last_count);
    stream->last_count = 0;
    capture_follow(stream, &node, 1);
    return CUDA_SUCCESS;
}

CUresult capture_refuses(Stream *stream, const char *what) {
    report("%s on stream %d while it is captured", what, stream->object.number);
    stream->capture->invalid = true;
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

bool capture_forbids_unsafe_calls(void) {
    bool forbidden = false;
    for (Capture *capture = captures; capture; capture = capture->next) {
        const bool mine = pthread_equal(capture->thread, pthread_self());
        const bool global = capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
        const bool local = capture->mode == CU_STREAM_CAPTURE_MODE_THREAD_LOCAL && mine;
        if (thread_mode == CU_STREAM_CAPTURE_MODE_RELAXED || !(global || local)) continue;
        report("%s while a stream is captured", "a call that may synchronise");
        capture->invalid = forbidden = true;
    }
    return forbidden;
}

bool capture_is_open(const Context *context) {
    for (const Capture *capture = captures; capture; capture = capture->next)
        if (capture->origin->context == context && !(capture->origin->flags & CU_STREAM_NON_BLOCKING))
            return true;
    return false;
}

static CUresult begin(CUstream handle, Graph *graph, bool owns_graph, CUstreamCaptureMode mode) {
    CUresult error;
    Stream *stream = stream_find(handle, &error);
    if (!stream) return error;
    if (!handle || handle == CU_STREAM_LEGACY) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
    Capture *capture = calloc(1, sizeof *capture);
    *capture = (Capture){.graph = graph ? graph : object_new(A_GRAPH, sizeof(Graph)),
                         .origin = stream,
                         .owns_graph = owns_graph,
                         .mode = mode,
                         .thread = pthread_self(),
                         .number = ++captures_begun,
                         .next = captures};
    captures = stream->capture = capture;
    stream->last_count = 0;
    return CUDA_SUCCESS;
}

CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode) {
    ENTER(NEEDS_CONTEXT);
    return begin(stream, NULL, true, mode);
}

CUresult cuStreamBeginCaptureToGraph(CUstream stream, CUgraph handle, const CUgraphNode *after,
                                     const CUgraphEdgeData *edges, size_t n, CUstreamCaptureMode mode) {
    ENTER(NEEDS_CONTEXT);
    (void)edges;
    Graph *graph = object_find(A_GRAPH, handle);
    if (!graph) return CUDA_ERROR_INVALID_VALUE;
    const CUresult error = begin(stream, graph, false, mode);
    if (!error) capture_follow((Stream *)stream, (Node *const *)after, (int)n);
    return error;
}

static void mark_before(const Node *node, bool *marked) {
    if (marked[node->index]) return;
    marked[node->index] = true;
    for (int i = 0; i < node->after_count; i++)
        mark_before(node->after[i], marked);
}

// What a forked stream did last has to come before what the origin did last.
static bool joined(const Capture *capture) {
    const Stream *origin = capture->origin;
    bool *marked = calloc(capture->graph->node_count + 1, sizeof *marked), all = true;
    for (int i = 0; i < origin->last_count; i++)
        mark_before(origin->last[i], marked);
    for (int slot = 0; stream_at(slot); slot++) {
        const Stream *stream = stream_at(slot);
        if (stream->capture != capture) continue;
        for (int i = 0; i < stream->last_count; i++)
            all &= marked[stream->last[i]->index];
    }
    free(marked);
    return all;
}

static void leave_all(Capture *capture) {
    capture->ended = true;
    for (Capture **link = &captures; *link; link = &(*link)->next)
        if (*link == capture) {
            *link = capture->next;
            break;
        }
    for (int slot = 0; stream_at(slot); slot++)
        if (stream_at(slot)->capture == capture) stream_at(slot)->capture = NULL;
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph *made) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    Stream *stream = stream_find(handle, &error);
    if (!stream) return error;
    Capture *capture = stream->capture;
    *made = NULL;
    if (!capture) return CUDA_ERROR_ILLEGAL_STATE;
    if (capture->origin != stream) return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && !pthread_equal(capture->thread, pthread_self()))
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    error = capture->invalid  ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
            : joined(capture) ? CUDA_SUCCESS
                              : CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    leave_all(capture);
    if (!error)
        *made = (CUgraph)capture->graph;
    else if (capture->owns_graph)
        graph_end(capture->graph);
    return error;
}

CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    const Stream *stream = stream_find(handle, &error);
    if (!stream) return error;
    *status = !stream->capture           ? CU_STREAM_CAPTURE_STATUS_NONE
              : stream->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                         : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return CUDA_SUCCESS;
}

CUresult cuStreamGetCaptureInfo(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id,
                                CUgraph *graph, const CUgraphNode **after, const CUgraphEdgeData **edges,
                                size_t *n) {
    const CUresult error = cuStreamIsCapturing(handle, status);
    if (error || *status != CU_STREAM_CAPTURE_STATUS_ACTIVE) return error;
    const Stream *stream = (Stream *)handle;
    if (id) *id = stream->capture->number;
    if (graph) *graph = (CUgraph)stream->capture->graph;
    if (after) *after = (const CUgraphNode *)stream->last;
    if (edges) *edges = NULL;
    if (n) *n = stream->last_count;
    return CUDA_SUCCESS;
}

CUresult cuStreamUpdateCaptureDependencies(CUstream handle, CUgraphNode *nodes, const CUgraphEdgeData *edges,
                                           size_t n, unsigned flags) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    (void)edges;
    Stream *stream = stream_find(handle, &error);
    if (!stream) return error;
    if (!stream->capture) return CUDA_ERROR_ILLEGAL_STATE;
    if (flags == CU_STREAM_SET_CAPTURE_DEPENDENCIES) stream->last_count = 0;
    capture_follow(stream, (Node *const *)nodes, (int)n);
    return CUDA_SUCCESS;
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode) {
    ENTER(NEEDS_INIT);
    const CUstreamCaptureMode before = thread_mode;
    thread_mode = *mode;
    *mode = before;
    return CUDA_SUCCESS;
}
