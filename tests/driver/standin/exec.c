// Executable graphs: a copy of a graph, with the addresses and parameters that it had when it was made.
#include "standin.h"

// One launch touches what all its nodes touch; the same bytes of two nodes are one access.
static void gather(Operation *all, const Graph *graph) {
    for (int i = 0; i < graph->node_count; i++) {
        const Operation *operation = &graph->nodes[i]->operation;
        for (int j = 0; j < operation->access_count; j++) {
            const Access *wanted = &operation->accesses[j];
            bool known = false;
            for (int k = 0; k < all->access_count; k++)
                known |= all->accesses[k].at == wanted->at && all->accesses[k].bytes == wanted->bytes &&
                         all->accesses[k].writes == wanted->writes;
            if (!known) operation_touches(all, wanted->at, wanted->bytes, wanted->writes);
        }
        if (operation->body) gather(all, operation->body);
    }
}

// Everything that a node touches, the body of a while-node included.
static Operation touched_by(const Node *node) {
    Operation all = {0};
    const Graph alone = {.nodes = (Node **)&node, .node_count = 1};
    gather(&all, &alone);
    return all;
}

static void check_pair(const Node *first, const Node *second) {
    const Operation one = touched_by(first), other = touched_by(second);
    for (int i = 0; i < one.access_count; i++)
        for (int j = 0; j < other.access_count; j++) {
            const Access *a = &one.accesses[i], *b = &other.accesses[j];
            if (a->at >= b->at + b->bytes || b->at >= a->at + a->bytes || !(a->writes || b->writes)) continue;
            const Allocation *at = memory_at(a->at);
            report("race: '%s' and '%s' touch memory %d in one graph, with nothing that orders them",
                   first->operation.name, second->operation.name, at ? at->number : 0);
        }
}

// Nodes of which neither comes after the other must not touch the same bytes, one of them writing.
static void check_order(const Graph *graph) {
    const int n = graph->node_count;
    bool *reaches = calloc((size_t)n * n + 1, sizeof *reaches); // [later][earlier]
    for (int i = 0; i < n; i++) {
        const Node *node = graph->nodes[i];
        reaches[i * n + i] = true;
        for (int j = 0; j < node->after_count; j++)
            for (int k = 0; k < n; k++)
                reaches[i * n + k] |= reaches[node->after[j]->index * n + k];
        for (int k = 0; k < i; k++)
            if (!reaches[i * n + k]) check_pair(graph->nodes[k], node);
        if (node->operation.body) check_order(node->operation.body);
    }
    free(reaches);
}

static CUresult instantiate(CUgraphExec *made, CUgraph handle) {
    const Graph *graph = object_find(A_GRAPH, handle);
    if (!graph || graph->whole) return CUDA_ERROR_INVALID_VALUE;
    check_order(graph);
    Exec *exec = object_new(AN_EXEC, sizeof *exec);
    exec->graph = graph_copy(graph);
    exec->all.does = DOES_GRAPH;
    exec->all.exec = exec;
    snprintf(exec->all.name, sizeof exec->all.name, "graph %d", exec->object.number);
    gather(&exec->all, exec->graph);
    *made = (CUgraphExec)exec;
    return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *made, CUgraph graph, unsigned long long flags) {
    ENTER(NEEDS_CONTEXT);
    (void)flags;
    return instantiate(made, graph);
}

CUresult cuGraphInstantiateWithParams(CUgraphExec *made, CUgraph graph,
                                      CUDA_GRAPH_INSTANTIATE_PARAMS *wanted) {
    ENTER(NEEDS_CONTEXT);
    const CUresult error = instantiate(made, graph);
    wanted->result_out = error ? CUDA_GRAPH_INSTANTIATE_ERROR : CUDA_GRAPH_INSTANTIATE_SUCCESS;
    return error;
}

// A driver runs two launches of one graph one after the other only where the program orders them.
void exec_check_launch(Exec *exec, Stream *stream, uint64_t launch) {
    if (exec->stream && exec->launch > stream->clock.epochs[exec->stream->slot])
        report("'%s' was launched while a launch of it was in flight, with nothing that orders them",
               exec->all.name);
    exec->stream = stream;
    exec->launch = launch;
}

CUresult cuGraphLaunch(CUgraphExec handle, CUstream stream_handle) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    Exec *exec = object_find(AN_EXEC, handle);
    Stream *stream = stream_find(stream_handle, &error);
    if (!exec || !stream) return error ? error : CUDA_ERROR_INVALID_VALUE;
    count(COUNT_GRAPH_LAUNCHES, 1);
    return stream_submit(stream, &exec->all);
}

CUresult cuGraphUpload(CUgraphExec handle, CUstream stream_handle) {
    CUresult error;
    ENTER(NEEDS_CONTEXT);
    if (!object_find(AN_EXEC, handle)) return CUDA_ERROR_INVALID_VALUE;
    stream_find(stream_handle, &error);
    return error;
}

CUresult cuGraphExecDestroy(CUgraphExec handle) {
    ENTER(NEEDS_CONTEXT | RELEASES);
    Exec *exec = object_find(AN_EXEC, handle);
    if (!exec) return CUDA_ERROR_INVALID_VALUE;
    if (exec->stream && exec->stream->ran < exec->launch) {
        report("'%s' was destroyed while a launch of it was in flight", exec->all.name);
        stream_run_until(exec->stream, exec->launch);
    }
    graph_end(exec->graph);
    object_end(exec);
    GIVEN_BACK;
}

CUresult exec_run(const Exec *exec, Stream *stream) {
    return graph_run(exec->graph, stream);
}
