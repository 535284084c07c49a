// Initialisation, and contexts: each device's primary one, and others.
#include "standin.h"

bool initialized;

#define DEEPEST 16
static __thread Context *stack[DEEPEST];
static __thread int depth; // of the contexts that were pushed; the current one is the last
static Context *primary[MAX_DEVICES];

Context *context_current(void) {
    return depth ? stack[depth - 1] : NULL;
}

static int device_count(void) {
    const char *text = getenv("STANDIN_DEVICES");
    const int wanted = text ? atoi(text) : 1;
    return wanted < MAX_DEVICES ? wanted : MAX_DEVICES;
}

static bool is_device(CUdevice device) {
    return device >= 0 && device < device_count();
}

CUresult cuInit(unsigned flags) {
    ENTER(NEEDS_NOTHING);
    if (flags) return CUDA_ERROR_INVALID_VALUE;
    if (!device_count()) return CUDA_ERROR_NO_DEVICE;
    initialized = true;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *n) {
    ENTER(NEEDS_INIT);
    *n = device_count();
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal) {
    ENTER(NEEDS_INIT);
    if (!is_device(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *made, CUdevice device) {
    ENTER(NEEDS_INIT);
    if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
    if (!primary[device]) {
        primary[device] = object_stays(object_new(A_CONTEXT, sizeof(Context)));
        primary[device]->device = device;
        primary[device]->primary = true;
    }
    primary[device]->retained++;
    *made = (CUcontext)primary[device];
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
    ENTER(NEEDS_INIT | RELEASES);
    if (!is_device(device) || !primary[device] || !primary[device]->retained)
        return CUDA_ERROR_INVALID_CONTEXT;
    primary[device]->retained--;
    GIVEN_BACK;
}

// A library never does this to the context of its caller.
CUresult cuDevicePrimaryCtxReset(CUdevice device) {
    ENTER(NEEDS_INIT);
    report("the primary context of device %d was reset", device);
    return is_device(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
    ENTER(NEEDS_INIT);
    if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
    *flags = 0;
    *active = primary[device] && primary[device]->retained;
    return CUDA_SUCCESS;
}

CUresult cuCtxCreate(CUcontext *made, CUctxCreateParams *wanted, unsigned flags, CUdevice device) {
    ENTER(NEEDS_INIT);
    (void)wanted, (void)flags;
    if (!is_device(device)) return CUDA_ERROR_INVALID_DEVICE;
    if (depth == DEEPEST) return CUDA_ERROR_OUT_OF_MEMORY;
    Context *context = object_new(A_CONTEXT, sizeof *context);
    context->device = device;
    *made = (CUcontext)(stack[depth++] = context);
    return CUDA_SUCCESS;
}

static CUresult end(CUcontext handle) {
    Context *context = object_find(A_CONTEXT, handle);
    if (!context || context->primary) return CUDA_ERROR_INVALID_CONTEXT;
    stream_run_all(context);
    object_end(context);
    if (context_current() == context) depth--;
    return CUDA_SUCCESS;
}

CUresult cuCtxDestroy(CUcontext handle) {
    ENTER(NEEDS_INIT | RELEASES);
    const CUresult error = end(handle);
    if (error) return error;
    GIVEN_BACK;
}

// Each context has one user, who made it: when that goes, so does the context.
CUresult cuCtxDetach(CUcontext handle) {
    ENTER(NEEDS_INIT | RELEASES);
    const CUresult error = end(handle);
    if (error) return error;
    GIVEN_BACK;
}

CUresult cuCtxSetCurrent(CUcontext handle) {
    ENTER(NEEDS_INIT);
    if (handle && !object_find(A_CONTEXT, handle)) return CUDA_ERROR_INVALID_CONTEXT;
    if (!depth) depth = 1;
    stack[depth - 1] = (Context *)handle;
    if (!handle) depth--;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context) {
    ENTER(NEEDS_INIT);
    *context = (CUcontext)context_current();
    return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent(CUcontext handle) {
    ENTER(NEEDS_INIT);
    if (!object_find(A_CONTEXT, handle)) return CUDA_ERROR_INVALID_CONTEXT;
    if (depth == DEEPEST) return CUDA_ERROR_OUT_OF_MEMORY;
    stack[depth++] = (Context *)handle;
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent(CUcontext *context) {
    ENTER(NEEDS_INIT);
    if (!depth) return CUDA_ERROR_INVALID_CONTEXT;
    if (context) *context = (CUcontext)context_current();
    depth--;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device) {
    ENTER(NEEDS_CONTEXT);
    *device = context_current()->device;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetId(CUcontext handle, unsigned long long *id) {
    ENTER(NEEDS_INIT);
    const Context *context = handle ? object_find(A_CONTEXT, handle) : context_current();
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    *id = context->object.number;
    return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize(void) {
    ENTER(NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
    count(COUNT_SYNCHRONIZES, 1);
    return stream_run_all(context_current());
}

CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) {
    ENTER(NEEDS_CONTEXT);
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return CUDA_SUCCESS;
}

// Everything from the current context fails from now on with this error, as after a fault on a device.
EXPORT void standin_break(int error) {
    if (context_current()) context_current()->broken = error;
}
