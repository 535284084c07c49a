// A libcuda.so.1 whose device memory is host memory, and which is stricter than a GPU.
//
// Work is queued and runs when the host waits for it; device memory can only be touched by that work; every
// access is checked against the order that streams, events and waits give it. What a driver refuses is
// refused with the driver's error code. What a driver would let pass and a program should not do is a report.
//
// One lock is held through every call, so nothing below has to be safe for threads.
#ifndef STANDIN_H
#define STANDIN_H

#define _GNU_SOURCE
#include <cuda.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MAX_STREAMS 256
#define MAX_DEVICES 4

// ---- log.c: what was called and what ran, reports, and planted failures ----
enum { LINES_CALLS, LINES_RUNS, LINES_REPORTS, LINES_KINDS };
enum {
    COUNT_H2D,
    COUNT_H2D_BYTES,
    COUNT_D2H,
    COUNT_D2H_BYTES,
    COUNT_D2D,
    COUNT_D2D_BYTES,
    COUNT_PAGEABLE,
    COUNT_SYNCHRONIZES,
    COUNT_KERNELS,
    COUNT_HOST_FUNCTIONS,
    COUNT_GRAPH_LAUNCHES,
    COUNT_KINDS
};

void log_line(int kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define report(...) log_line(LINES_REPORTS, __VA_ARGS__)
void count(int what, uint64_t by);

// What a call may do: `enter` takes the lock, logs the name, and gives the error that is due before any work.
enum { NEEDS_NOTHING = 0, NEEDS_INIT = 1, NEEDS_CONTEXT = 2, UNSAFE_IN_CAPTURE = 4, RELEASES = 8 };
typedef struct {
    CUresult planted;
} Call;
CUresult enter(const char *name, int flags, Call *call);
void leave(Call *call);

// The first lines of every driver function. A planted failure stops the call before it does anything; one
// that gives something back does so all the same, as a driver does that reports an earlier error there.
#define ENTER(flags)                                                               \
    __attribute__((cleanup(leave))) Call call_ = {0};                              \
    do {                                                                           \
        CUresult refused_ = enter(__func__, (flags), &call_);                      \
        if (refused_ && !(call_.planted && ((flags) & RELEASES))) return refused_; \
    } while (0)
#define GIVEN_BACK return call_.planted

// ---- objects.c: every handle that was ever given out ----
typedef enum {
    A_CONTEXT = 1,
    A_STREAM,
    AN_EVENT,
    A_GRAPH,
    A_NODE,
    AN_EXEC,
    A_LIBRARY,
    A_KERNEL,
    A_POOL,
    A_USER_OBJECT,
    A_MODULE,
    OBJECT_KINDS
} Kind;
typedef struct Object {
    Kind kind;
    bool alive;
    int number;
    struct Object *chained;
} Object;

void *object_new(Kind kind, size_t bytes);
void *object_find(Kind kind, const void *handle); // NULL, with a report, for what is none or is destroyed
void object_end(void *object);
void *object_stays(void *object); // what is the driver's own is no leak; gives it back
int objects_alive(Kind kind);

// ---- context.c ----
typedef struct Context {
    Object object;
    int device;
    bool primary;
    int retained;
    CUresult broken;
    struct Stream *legacy, *per_thread;
} Context;
extern bool initialized;
const char *error_name(CUresult error); // NULL for one that it has not
const char *error_text(CUresult error);
Context *context_current(void);

// ---- memory.c: allocations with guards, poison and protected pages ----
typedef enum { ON_DEVICE, ON_HOST } Place;
typedef struct {
    int slot;
    uint32_t epoch;
    uintptr_t from, to;
    bool writes;
    const char *who;
} Touch;
typedef struct Allocation {
    uintptr_t at;
    size_t bytes;
    Place place;
    bool alive, leaving;
    int device;
    int number;
    uintptr_t pages;
    size_t pages_bytes; // what is opened; a page that never opens lies on either side
    Touch *touches;
    int touch_count, touch_room; // order.c
    struct Allocation *next;
} Allocation;
typedef struct {
    uintptr_t at;
    size_t bytes;
    bool writes;
} Access;

CUresult memory_take(Place place, size_t bytes, Allocation **taken);
CUresult memory_give_back(Allocation *allocation);
Allocation *memory_at(uintptr_t address); // that holds the address, alive or not; NULL for other host memory
CUresult memory_open(const Access *accesses, int n, bool also_pageable, const char *who);
void memory_close(const Access *accesses, int n, const char *who);
void memory_usage(int device, size_t *used, size_t *total);
int memory_alive(Place place);
extern const char *running; // the operation that runs now, or NULL

// ---- order.c: which operation is known to come before which ----
typedef struct {
    uint32_t epochs[MAX_STREAMS];
} Clock;
extern Clock host_clock;
void clock_join(Clock *into, const Clock *from);
const char *order_pending(const Allocation *allocation); // what the host has not waited for
void order_check(Access access, int slot, const Clock *clock, const char *who);

// ---- operation.c: one piece of work, in a stream or in a graph ----
typedef enum {
    DOES_COPY,
    DOES_SET,
    DOES_CALL,
    DOES_KERNEL,
    DOES_RECORD,
    DOES_WAIT,
    DOES_GRAPH,
    DOES_TAKE,
    DOES_GIVE_BACK,
    DOES_REPEAT,
    DOES_NOTHING
} Does;
typedef int (*HostWork)(void *user);
typedef struct Operation {
    Does does;
    char name[64];
    Access *accesses;
    int access_count;
    uintptr_t to, from;
    size_t bytes;
    uint32_t value;
    int width; // copies and sets
    CUhostFn function;
    HostWork work;
    void *user; // calls
    struct Kernel *kernel;
    void **arguments;
    CUlaunchConfig shape;
    struct Event *event;
    struct Stream *recorded;
    uint64_t record; // the record that a wait waits for
    struct Exec *exec;
    Allocation *allocation;
    struct Condition *condition;
    struct Graph *body; // while and if
} Operation;

void operation_touches(Operation *operation, uintptr_t at, size_t bytes, bool writes);
CUresult operation_run(const Operation *operation, struct Stream *stream);

// ---- stream.c ----
typedef struct Entry {
    Operation operation;
    uint64_t number;
    struct Entry *next;
} Entry;
typedef struct Stream {
    Object object;
    Context *context;
    unsigned flags;
    int priority;
    int slot;
    Clock clock;
    Entry *head, *tail;
    uint64_t queued, ran;
    struct Capture *capture;
    struct Node **last;
    int last_count; // what the next captured operation follows
} Stream;

Stream *stream_find(CUstream handle, CUresult *error);
CUresult stream_submit(Stream *stream, Operation *operation);
CUresult stream_run_until(Stream *stream, uint64_t number);
CUresult stream_run_all(Context *context);
Stream *stream_new(Context *context, unsigned flags, int priority);
Stream *stream_at(int slot); // of all that were ever made; NULL behind the last

// ---- event.c ----
typedef struct Event {
    Object object;
    Context *context;
    unsigned flags;
    Stream *stream;
    uint64_t record;
    Clock clock;
    uint64_t when_ns;
    struct Capture *capture;
    struct Node **nodes;
    int node_count;
} Event;
void event_reached(Event *event, const Stream *stream, uint64_t record);

// ---- capture.c ----
typedef struct Capture {
    struct Graph *graph;
    Stream *origin;
    bool owns_graph, invalid, ended;
    CUstreamCaptureMode mode;
    pthread_t thread;
    uint64_t number;
    struct Capture *next;
} Capture;
CUresult capture_submit(Stream *stream, Operation *operation);
CUresult capture_refuses(Stream *stream, const char *what); // a call that a capturing stream does not allow
bool capture_forbids_unsafe_calls(void);
bool capture_is_open(const Context *context);
void capture_follow(Stream *stream, struct Node *const *nodes, int n);

// ---- graph.c and exec.c ----
typedef struct Condition {
    uint64_t handle;
    unsigned initial, value;
    bool assigns;
    struct Condition *next;
} Condition;
typedef struct Node {
    Object object;
    struct Graph *graph;
    Operation operation;
    CUgraphNodeType type;
    struct Node **after;
    int after_count;
    int index;
} Node;
typedef struct Graph {
    Object object;
    Node **nodes;
    int node_count;
    struct Graph *whole; // of a body: what it is part of
    struct UserObject **held;
    int held_count;
} Graph;
typedef struct Exec {
    Object object;
    Graph *graph;
    Operation all;
    Stream *stream;
    uint64_t launch;
} Exec;

Node *graph_append(Graph *graph, const Operation *operation, CUgraphNodeType type, Node *const *after, int n);
Graph *graph_copy(const Graph *graph);
Condition *condition_find(uint64_t handle);
CUresult exec_run(const Exec *exec, Stream *stream);
CUresult graph_run(const Graph *graph, Stream *stream);
void exec_check_launch(Exec *exec, Stream *stream, uint64_t launch);
void graph_hold(Graph *graph, struct UserObject *object);
void graph_end(Graph *graph);
void user_object_release(struct UserObject *object, unsigned times);
void user_object_retain(struct UserObject *object, unsigned times);

// ---- cubin.c, kernel.c and module.c ----
#define MAX_ARGUMENTS 64
typedef struct {
    size_t offset, bytes;
} Argument;
int cubin_arguments(const void *image, const char *kernel,
                    Argument *arguments); // their number; -1: no such kernel
typedef int (*KernelTouches)(void **arguments, const unsigned *grid, Access *accesses, int room);
typedef int (*KernelWork)(void **arguments, const unsigned *grid);
typedef struct Kernel {
    Object object;
    char name[64];
    Argument arguments[MAX_ARGUMENTS];
    int argument_count;
    KernelTouches touches;
    KernelWork work;
} Kernel;
CUresult kernel_of(const void *image, const char *name, Kernel **made);
void *image_copy(const void *code); // NULL for what is no ELF image
#endif
