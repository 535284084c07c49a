// Handles. None is ever given out twice, so one that was destroyed is told from one that never was.
#include "standin.h"

#define BUCKETS 1024
static Object *buckets[BUCKETS];
static int made[OBJECT_KINDS], alive[OBJECT_KINDS];
static const char *const names[] = {"",       "context",     "stream",           "event",
                                    "graph",  "graph node",  "executable graph", "library",
                                    "kernel", "memory pool", "user object",      "module"};

static Object **bucket(const void *handle) {
    return &buckets[((uintptr_t)handle >> 4) % BUCKETS];
}

void *object_new(Kind kind, size_t bytes) {
    Object *object = calloc(1, bytes);
    Object **head = bucket(object);
    *object = (Object){kind, true, ++made[kind], *head};
    *head = object;
    alive[kind]++;
    return object;
}

void *object_find(Kind kind, const void *handle) {
    for (Object *object = *bucket(handle); object; object = object->chained) {
        if (object != handle) continue;
        if (object->kind != kind) {
            report("a %s was given where a %s belongs", names[object->kind], names[kind]);
            return NULL;
        }
        if (object->alive) return object;
        report("%s %d was used after it was destroyed", names[kind], object->number);
        return NULL;
    }
    report("%p is no %s", handle, names[kind]);
    return NULL;
}

void object_end(void *ended) {
    Object *object = ended;
    object->alive = false;
    alive[object->kind]--;
}

void *object_stays(void *kept) {
    alive[((Object *)kept)->kind]--;
    return kept;
}

int objects_alive(Kind kind) {
    return alive[kind];
}
