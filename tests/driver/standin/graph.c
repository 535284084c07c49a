// Graphs: nodes that each come after others, in the order in which they were made.
#include "standin.h"

static Condition *conditions;
static uint64_t conditions_made;

Node *graph_append(Graph *graph, const Operation *operation, CUgraphNodeType type, Node *const *after,
                   int n) {
    Node *node = object_new(A_NODE, sizeof *node);
    node->graph = graph;
    node->operation = *operation;
    node->type = type;
    node->index = graph->node_count;
    node->after_count = n;
    node->after = malloc((n + 1) * sizeof *node->after);
    if (n) memcpy(node->after, after, n * sizeof *node->after);
    graph->nodes = realloc(graph->nodes, (graph->node_count + 1) * sizeof *graph->nodes);
    graph->nodes[graph->node_count++] = node;
    return node;
}

Graph *graph_copy(const Graph *graph) {
    Graph *copy = object_new(A_GRAPH, sizeof *copy);
    for (int i = 0; i < graph->node_count; i++) {
        const Node *node = graph->nodes[i];
        Node *made = graph_append(copy, &node->operation, node->type, NULL, 0);
        made->after = malloc((node->after_count + 1) * sizeof *made->after);
        for (int j = 0; j < node->after_count; j++)
            made->after[made->after_count++] = copy->nodes[node->after[j]->index];
        if (node->operation.body) made->operation.body = graph_copy(node->operation.body);
    }
    for (int i = 0; i < graph->held_count; i++) {
        user_object_retain(graph->held[i], 1);
        graph_hold(copy, graph->held[i]);
    }
    return copy;
}

void graph_end(Graph *graph) {
    for (int i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i]->operation.body) graph_end(graph->nodes[i]->operation.body);
        object_end(graph->nodes[i]);
    }
    for (int i = 0; i < graph->held_count; i++)
        user_object_release(graph->held[i], 1);
    graph->held_count = 0;
    object_end(graph);
}

CUresult graph_run(const Graph *graph, Stream *stream) {
    CUresult error = CUDA_SUCCESS;
    for (int i = 0; i < graph->node_count; i++) {
        Condition *condition = graph->nodes[i]->operation.condition;
        if (condition && condition->assigns) condition->value = condition->initial;
    }
    for (int i = 0; i < graph->node_count && !error; i++)
        error = operation_run(&graph->nodes[i]->operation, stream);
    return error;
}

Condition *condition_find(uint64_t handle) {
    for (Condition *condition = conditions; condition; condition = condition->next)
        if (condition->handle == handle) return condition;
    return NULL;
}

// What cudaGraphSetConditional does, for the emulations of kernels that call it; not 0 where there is no such
// handle.
EXPORT int standin_set_condition(uint64_t handle, unsigned value) {
    Condition *condition = condition_find(handle);
    if (condition)
        condition->value = value;
    else
        report("%llu is no handle of a condition", (unsigned long long)handle);
    return !condition;
}

CUresult cuGraphCreate(CUgraph *made, unsigned flags) {
    ENTER(NEEDS_INIT);
    if (flags) return CUDA_ERROR_INVALID_VALUE;
    *made = object_new(A_GRAPH, sizeof(Graph));
    return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph handle) {
    ENTER(NEEDS_INIT | RELEASES);
    Graph *graph = object_find(A_GRAPH, handle);
    if (!graph) return CUDA_ERROR_INVALID_VALUE;
    graph_end(graph);
    GIVEN_BACK;
}

CUresult cuGraphConditionalHandleCreate(CUgraphConditionalHandle *made, CUgraph handle, CUcontext context,
                                        unsigned initial, unsigned flags) {
    ENTER(NEEDS_CONTEXT);
    if (!object_find(A_GRAPH, handle) || (context && !object_find(A_CONTEXT, context)))
        return CUDA_ERROR_INVALID_VALUE;
    Condition *condition = calloc(1, sizeof *condition);
    *condition = (Condition){.handle = ++conditions_made,
                             .initial = initial,
                             .next = conditions,
                             .assigns = flags & CU_GRAPH_COND_ASSIGN_DEFAULT};
    conditions = condition;
    *made = condition->handle;
    return CUDA_SUCCESS;
}

static CUresult add_condition(Graph *graph, CUgraphNodeParams *wanted, Node *const *after, int n,
                              Node **made) {
    static CUgraph bodies[1]; // the caller reads it before the next call
    Condition *condition = condition_find(wanted->conditional.handle);
    const bool is_while = wanted->conditional.type == CU_GRAPH_COND_TYPE_WHILE;
    if (!condition || wanted->conditional.size != 1) return CUDA_ERROR_INVALID_VALUE;
    if (!is_while && wanted->conditional.type != CU_GRAPH_COND_TYPE_IF) return CUDA_ERROR_NOT_SUPPORTED;
    Graph *body = object_new(A_GRAPH, sizeof *body);
    body->whole = graph;
    Operation operation = {
        .does = DOES_REPEAT, .name = "while", .condition = condition, .body = body, .width = is_while};
    *made = graph_append(graph, &operation, wanted->type, after, n);
    bodies[0] = (CUgraph)body;
    wanted->conditional.phGraph_out = bodies;
    return CUDA_SUCCESS;
}

CUresult cuGraphAddNode(CUgraphNode *made, CUgraph handle, const CUgraphNode *after,
                        const CUgraphEdgeData *edges, size_t n, CUgraphNodeParams *wanted) {
    ENTER(NEEDS_CONTEXT);
    (void)edges;
    Graph *graph = object_find(A_GRAPH, handle);
    if (!graph) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < n; i++) {
        const Node *node = object_find(A_NODE, after[i]);
        if (!node || node->graph != graph) return CUDA_ERROR_INVALID_VALUE;
    }
    const Operation nothing = {.does = DOES_NOTHING, .name = "nothing"};
    switch (wanted->type) {
    case CU_GRAPH_NODE_TYPE_CONDITIONAL:
        return add_condition(graph, wanted, (Node *const *)after, (int)n, (Node **)made);
    case CU_GRAPH_NODE_TYPE_EMPTY:
        *made = (CUgraphNode)graph_append(graph, &nothing, wanted->type, (Node *const *)after, (int)n);
        return CUDA_SUCCESS;
    default: return CUDA_ERROR_NOT_SUPPORTED;
    }
}

CUresult cuGraphGetNodes(CUgraph handle, CUgraphNode *nodes, size_t *n) {
    ENTER(NEEDS_INIT);
    const Graph *graph = object_find(A_GRAPH, handle);
    if (!graph) return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; nodes && i < *n && i < (size_t)graph->node_count; i++)
        nodes[i] = (CUgraphNode)graph->nodes[i];
    *n = graph->node_count;
    return CUDA_SUCCESS;
}

CUresult cuGraphNodeGetType(CUgraphNode handle, CUgraphNodeType *type) {
    ENTER(NEEDS_INIT);
    const Node *node = object_find(A_NODE, handle);
    if (!node) return CUDA_ERROR_INVALID_VALUE;
    *type = node->type;
    return CUDA_SUCCESS;
}

CUresult cuGraphHostNodeGetParams(CUgraphNode handle, CUDA_HOST_NODE_PARAMS *parameters) {
    ENTER(NEEDS_INIT);
    const Node *node = object_find(A_NODE, handle);
    if (!node || node->type != CU_GRAPH_NODE_TYPE_HOST) return CUDA_ERROR_INVALID_VALUE;
    *parameters = (CUDA_HOST_NODE_PARAMS){.fn = node->operation.function, .userData = node->operation.user};
    return CUDA_SUCCESS;
}

CUresult cuGraphHostNodeSetParams(CUgraphNode handle, const CUDA_HOST_NODE_PARAMS *parameters) {
    ENTER(NEEDS_INIT);
    Node *node = object_find(A_NODE, handle);
    if (!node || node->type != CU_GRAPH_NODE_TYPE_HOST) return CUDA_ERROR_INVALID_VALUE;
    node->operation.function = parameters->fn;
    node->operation.user = parameters->userData;
    return CUDA_SUCCESS;
}
