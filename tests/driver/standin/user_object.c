// What a graph keeps alive for as long as it can be launched.
#include "standin.h"

typedef struct UserObject {
    Object object;
    void *held;
    CUhostFn destroy;
    unsigned references;
} UserObject;

void user_object_retain(UserObject *object, unsigned times) {
    object->references += times;
}

void user_object_release(UserObject *object, unsigned times) {
    object->references -= times;
    if (object->references) return;
    object_end(object);
    object->destroy(object->held);
}

void graph_hold(Graph *graph, UserObject *object) {
    graph->held = realloc(graph->held, (graph->held_count + 1) * sizeof *graph->held);
    graph->held[graph->held_count++] = object;
}

CUresult cuUserObjectCreate(CUuserObject *made, void *held, CUhostFn destroy, unsigned references,
                            unsigned flags) {
    ENTER(NEEDS_INIT);
    if (flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC || !references) return CUDA_ERROR_INVALID_VALUE;
    UserObject *object = object_new(A_USER_OBJECT, sizeof *object);
    object->held = held;
    object->destroy = destroy;
    object->references = references;
    *made = (CUuserObject)object;
    return CUDA_SUCCESS;
}

CUresult cuUserObjectRetain(CUuserObject handle, unsigned times) {
    ENTER(NEEDS_INIT);
    UserObject *object = object_find(A_USER_OBJECT, handle);
    if (!object) return CUDA_ERROR_INVALID_VALUE;
    user_object_retain(object, times);
    return CUDA_SUCCESS;
}

CUresult cuUserObjectRelease(CUuserObject handle, unsigned times) {
    ENTER(NEEDS_INIT | RELEASES);
    UserObject *object = object_find(A_USER_OBJECT, handle);
    if (!object || times > object->references) return CUDA_ERROR_INVALID_VALUE;
    user_object_release(object, times);
    GIVEN_BACK;
}

CUresult cuGraphRetainUserObject(CUgraph graph_handle, CUuserObject handle, unsigned times, unsigned flags) {
    ENTER(NEEDS_INIT);
    Graph *graph = object_find(A_GRAPH, graph_handle);
    UserObject *object = object_find(A_USER_OBJECT, handle);
    if (!graph || !object) return CUDA_ERROR_INVALID_VALUE;
    while (graph->whole)
        graph = graph->whole; // a body lives as long as the graph that it is part of
    if (flags != CU_GRAPH_USER_OBJECT_MOVE) user_object_retain(object, times);
    for (unsigned i = 0; i < times; i++)
        graph_hold(graph, object);
    return CUDA_SUCCESS;
}

CUresult cuGraphReleaseUserObject(CUgraph graph_handle, CUuserObject handle, unsigned times) {
    ENTER(NEEDS_INIT | RELEASES);
    Graph *graph = object_find(A_GRAPH, graph_handle);
    UserObject *object = object_find(A_USER_OBJECT, handle);
    if (!graph || !object) return CUDA_ERROR_INVALID_VALUE;
    for (int i = graph->held_count; i-- && times;) {
        if (graph->held[i] != object) continue;
        graph->held[i] = graph->held[--graph->held_count];
        user_object_release(object, 1);
        times--;
    }
    GIVEN_BACK;
}
