// Allocations: each on pages of its own, with bytes around it that must not change and pages around those
// that never open. The pages of device memory are open only while an operation runs that declared them, so
// that any other access, from the host or from an operation, ends the process with a message that names it.
#include "standin.h"
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGNED 256
#define FRESH 0xCD
#define FREED 0xDD
#define GUARD 0xA5
#define PAGE 4096

static Allocation *allocations;
static int taken_count;
static size_t used_bytes[MAX_DEVICES];
const char *running;

static size_t total_bytes(void) {
    const char *text = getenv("STANDIN_MEMORY_BYTES");
    return text ? strtoull(text, NULL, 10) : (size_t)1 << 30;
}

static void say(const char *text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0) _exit(3);
}

static const Allocation *with_guards(uintptr_t address) {
    for (const Allocation *a = allocations; a; a = a->next)
        if (address >= a->pages - PAGE && address < a->pages + a->pages_bytes + PAGE) return a;
    return NULL;
}

static void on_fault(int number, siginfo_t *info, void *context) {
    (void)context;
    const uintptr_t address = (uintptr_t)info->si_addr;
    const Allocation *a = with_guards(address);
    signal(number, SIG_DFL); // the access is tried again and ends the process
    if (!a) return;
    char text[256];
    snprintf(text, sizeof text, "standin: %s%s%s touched %s%s memory %d of %zu bytes at offset %td\n",
             running ? "'" : "", running ? running : "the host",
             running ? "', without having declared it," : "", a->alive ? "" : "freed ",
             a->place == ON_DEVICE ? "device" : "pinned", a->number, a->bytes, (ptrdiff_t)(address - a->at));
    say(text);
}

static void catch_faults(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

static void protect(const Allocation *a, int protection) {
    if (mprotect((void *)a->pages, a->pages_bytes, protection)) abort();
}

static bool guards_hold(const Allocation *a) {
    for (uintptr_t at = a->pages; at < a->pages + a->pages_bytes; at++) {
        if (at == a->at) at += a->bytes;
        if (at < a->pages + a->pages_bytes && *(unsigned char *)at != GUARD) return false;
    }
    return true;
}

CUresult memory_take(Place place, size_t bytes, Allocation **taken) {
    if (!bytes) return CUDA_ERROR_INVALID_VALUE;
    const int device = context_current()->device;
    if (place == ON_DEVICE && (bytes > total_bytes() || used_bytes[device] + bytes > total_bytes()))
        return CUDA_ERROR_OUT_OF_MEMORY;
    catch_faults();
    const size_t rounded = (bytes + ALIGNED - 1) / ALIGNED * ALIGNED;
    const size_t pages_bytes = (rounded + ALIGNED + PAGE - 1) / PAGE * PAGE;
    char *all = mmap(NULL, pages_bytes + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) return CUDA_ERROR_OUT_OF_MEMORY;
    Allocation *a = calloc(1, sizeof *a);
    *a = (Allocation){.bytes = bytes,
                      .place = place,
                      .alive = true,
                      .device = device,
                      .number = ++taken_count,
                      .pages = (uintptr_t)all + PAGE,
                      .pages_bytes = pages_bytes,
                      .next = allocations};
    a->at = a->pages + pages_bytes - rounded; // what runs over the end soon meets a page that never opens
    protect(a, PROT_READ | PROT_WRITE);
    memset((void *)a->pages, GUARD, pages_bytes);
    memset((void *)a->at, FRESH, bytes);
    if (place == ON_DEVICE) {
        protect(a, PROT_NONE);
        used_bytes[device] += bytes;
    }
    allocations = *taken = a;
    return CUDA_SUCCESS;
}

CUresult memory_give_back(Allocation *a) {
    if (!a->alive) {
        report("memory %d of %zu bytes was freed twice", a->number, a->bytes);
        return CUDA_ERROR_INVALID_VALUE;
    }
    protect(a, PROT_READ | PROT_WRITE);
    if (!guards_hold(a)) report("the bytes around memory %d of %zu bytes were written", a->number, a->bytes);
    memset((void *)a->pages, FREED, a->pages_bytes);
    protect(a, PROT_NONE);
    if (a->place == ON_DEVICE) used_bytes[a->device] -= a->bytes;
    a->alive = false;
    return CUDA_SUCCESS;
}

Allocation *memory_at(uintptr_t address) {
    for (Allocation *a = allocations; a; a = a->next)
        if (address >= a->at && address < a->at + a->bytes) return a;
    return NULL;
}

static CUresult allowed(const Access *access, const Allocation *a, const char *who) {
    const char *wrong = NULL;
    if (!a->alive)
        wrong = "was freed";
    else if (access->at + access->bytes > a->at + a->bytes)
        wrong = "ends before that";
    if (!wrong) return CUDA_SUCCESS;
    report("'%s' %s %zu bytes at offset %td of memory %d of %zu bytes, which %s", who,
           access->writes ? "writes" : "reads", access->bytes, (ptrdiff_t)(access->at - a->at), a->number,
           a->bytes, wrong);
    return CUDA_ERROR_ILLEGAL_ADDRESS;
}

static CUresult unknown(const Access *access, const char *who) {
    report("'%s' %s %zu bytes at %p, which is no memory of the device's", who,
           access->writes ? "writes" : "reads", access->bytes, (void *)access->at);
    return CUDA_ERROR_ILLEGAL_ADDRESS;
}

CUresult memory_open(const Access *accesses, int n, bool also_pageable, const char *who) {
    for (int i = 0; i < n; i++) {
        const Allocation *a = memory_at(accesses[i].at);
        if (!a && also_pageable) continue;
        const CUresult error = a ? allowed(&accesses[i], a, who) : unknown(&accesses[i], who);
        if (error) return error;
    }
    for (int writes = 0; writes < 2; writes++) // what is written is opened last, and stays open for both
        for (int i = 0; i < n; i++) {
            const Allocation *a = memory_at(accesses[i].at);
            if (a && a->place == ON_DEVICE && accesses[i].writes == writes)
                protect(a, writes ? PROT_READ | PROT_WRITE : PROT_READ);
        }
    return CUDA_SUCCESS;
}

void memory_close(const Access *accesses, int n, const char *who) {
    for (int i = 0; i < n; i++) {
        const Allocation *a = memory_at(accesses[i].at);
        if (!a || a->place != ON_DEVICE) continue;
        protect(a, PROT_READ);
        if (accesses[i].writes && !guards_hold(a))
            report("'%s' wrote around memory %d of %zu bytes", who, a->number, a->bytes);
        protect(a, PROT_NONE);
    }
}

void memory_usage(int device, size_t *used, size_t *total) {
    *used = used_bytes[device];
    *total = total_bytes();
}

// Of the memory that starts there; 0 where none does.
EXPORT size_t standin_memory_bytes(uintptr_t address) {
    const Allocation *a = memory_at(address);
    return a && a->at == address ? a->bytes : 0;
}

EXPORT size_t standin_bytes_alive(int place) {
    size_t bytes = 0;
    for (const Allocation *a = allocations; a; a = a->next)
        if (a->alive && (int)a->place == place) bytes += a->bytes;
    return bytes;
}
int memory_alive(Place place) {
    int alive = 0;
    for (const Allocation *a = allocations; a; a = a->next)
        alive += a->alive && a->place == place;
    return alive;
}
