// The calls that take memory and give it back: of the device, of its pools, and pinned.
#include "standin.h"

typedef struct {
    Object object;
    int device;
} Pool;

static Pool *default_pools[MAX_DEVICES];

static Allocation *starts_at(uintptr_t address) {
    Allocation *a = memory_at(address);
    if (a && a->at == address) return a;
    report("%p was freed, and no memory starts there", (void *)address);
    return NULL;
}

static CUresult take_pinned(void **made, size_t bytes) {
    Allocation *a;
    const CUresult error = memory_take(ON_HOST, bytes, &a);
    if (!error) *made = (void *)a->at;
    return error;
}

// What another stream does with it has to come after: the taking counts as a write.
static CUresult take_on_stream(CUdeviceptr *made, size_t bytes, CUstream handle) {
    CUresult error;
    Allocation *a;
    Stream *stream = stream_find(handle, &error);
    if (!stream) return error;
    if (stream->capture) return capture_refuses(stream, "an allocation");
    error = memory_take(ON_DEVICE, bytes, &a);
    if (error) return error;
    Operation operation = {.does = DOES_TAKE, .name = "allocation"};
    operation_touches(&operation, a->at, bytes, true);
    *made = a->at;
    return stream_submit(stream, &operation);
}

CUresult cuMemAlloc(CUdeviceptr *made, size_t bytes) {
    Allocation *a;
    ENTER(NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
    const CUresult error = memory_take(ON_DEVICE, bytes, &a);
    if (!error) *made = a->at;
    return error;
}

CUresult cuMemAllocAsync(CUdeviceptr *made, size_t bytes, CUstream stream) {
    ENTER(NEEDS_CONTEXT);
    return take_on_stream(made, bytes, stream);
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr *made, size_t bytes, CUmemoryPool pool, CUstream stream) {
    ENTER(NEEDS_CONTEXT);
    if (!object_find(A_POOL, pool)) return CUDA_ERROR_INVALID_VALUE;
    return take_on_stream(made, bytes, stream);
}

// As the driver, it waits for everything that may still use the memory.
CUresult cuMemFree(CUdeviceptr address) {
    ENTER(NEEDS_CONTEXT | UNSAFE_IN_CAPTURE | RELEASES);
    if (!address) GIVEN_BACK;
    Allocation *a = starts_at(address);
    if (!a || a->place != ON_DEVICE) return CUDA_ERROR_INVALID_VALUE;
    stream_run_all(context_current());
    const CUresult error = memory_give_back(a);
    if (error) return error;
    GIVEN_BACK;
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream handle) {
    CUresult error;
    ENTER(NEEDS_CONTEXT | RELEASES);
    Stream *stream = stream_find(handle, &error);
    Allocation *a = starts_at(address);
    if (!stream || !a) return error ? error : CUDA_ERROR_INVALID_VALUE;
    if (!a->alive || a->leaving) {
        report("memory %d of %zu bytes was freed twice", a->number, a->bytes);
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (stream->capture) return capture_refuses(stream, "a free");
    Operation operation = {.does = DOES_GIVE_BACK, .name = "free", .allocation = a};
    operation_touches(&operation, a->at, a->bytes, true);
    a->leaving = true;
    error = stream_submit(stream, &operation);
    if (error) return error;
    GIVEN_BACK;
}

CUresult cuMemAllocHost(void **made, size_t bytes) {
    ENTER(NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
    return take_pinned(made, bytes);
}

CUresult cuMemHostAlloc(void **made, size_t bytes, unsigned flags) {
    ENTER(NEEDS_CONTEXT | UNSAFE_IN_CAPTURE);
    (void)flags;
    return take_pinned(made, bytes);
}

CUresult cuMemFreeHost(void *address) {
    ENTER(NEEDS_CONTEXT | UNSAFE_IN_CAPTURE | RELEASES);
    Allocation *a = starts_at((uintptr_t)address);
    if (!a || a->place != ON_HOST) return CUDA_ERROR_INVALID_VALUE;
    if (order_pending(a))
        report("pinned memory %d of %zu bytes was freed before the host had waited for '%s'", a->number,
               a->bytes, order_pending(a));
    stream_run_all(context_current());
    const CUresult error = memory_give_back(a);
    if (error) return error;
    GIVEN_BACK;
}

CUresult cuMemHostGetDevicePointer(CUdeviceptr *made, void *address, unsigned flags) {
    ENTER(NEEDS_CONTEXT);
    const Allocation *a = memory_at((uintptr_t)address);
    if (flags || !a || a->place != ON_HOST) return CUDA_ERROR_INVALID_VALUE;
    *made = (CUdeviceptr)address;
    return CUDA_SUCCESS;
}

CUresult cuMemGetInfo(size_t *available, size_t *total) {
    size_t used;
    ENTER(NEEDS_CONTEXT);
    memory_usage(context_current()->device, &used, total);
    *available = *total - used;
    return CUDA_SUCCESS;
}

static CUmemoryPool default_pool(int device) {
    if (!default_pools[device]) {
        default_pools[device] = object_stays(object_new(A_POOL, sizeof(Pool)));
        default_pools[device]->device = device;
    }
    return (CUmemoryPool)default_pools[device];
}

CUresult cuDeviceGetMemPool(CUmemoryPool *made, CUdevice device) {
    ENTER(NEEDS_INIT);
    *made = default_pool(device);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *made, CUdevice device) {
    ENTER(NEEDS_INIT);
    *made = default_pool(device);
    return CUDA_SUCCESS;
}

CUresult cuMemGetDefaultMemPool(CUmemoryPool *made, CUmemLocation *location, CUmemAllocationType type) {
    ENTER(NEEDS_INIT);
    if (type != CU_MEM_ALLOCATION_TYPE_PINNED) return CUDA_ERROR_NOT_SUPPORTED;
    *made = default_pool(location->id);
    return CUDA_SUCCESS;
}

CUresult cuMemGetMemPool(CUmemoryPool *made, CUmemLocation *location, CUmemAllocationType type) {
    ENTER(NEEDS_INIT);
    if (type != CU_MEM_ALLOCATION_TYPE_PINNED) return CUDA_ERROR_NOT_SUPPORTED;
    *made = default_pool(location->id);
    return CUDA_SUCCESS;
}

CUresult cuMemPoolCreate(CUmemoryPool *made, const CUmemPoolProps *wanted) {
    ENTER(NEEDS_INIT);
    if (wanted->location.type != CU_MEM_LOCATION_TYPE_DEVICE) return CUDA_ERROR_NOT_SUPPORTED;
    Pool *pool = object_new(A_POOL, sizeof *pool);
    pool->device = wanted->location.id;
    *made = (CUmemoryPool)pool;
    return CUDA_SUCCESS;
}

CUresult cuMemPoolDestroy(CUmemoryPool handle) {
    ENTER(NEEDS_INIT | RELEASES);
    Pool *pool = object_find(A_POOL, handle);
    if (!pool) return CUDA_ERROR_INVALID_VALUE;
    object_end(pool);
    GIVEN_BACK;
}

CUresult cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value) {
    ENTER(NEEDS_INIT);
    if (!object_find(A_POOL, handle)) return CUDA_ERROR_INVALID_VALUE;
    if (attribute <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES)
        *(int *)value = 0;
    else
        *(cuuint64_t *)value = 0;
    return CUDA_SUCCESS;
}

CUresult cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value) {
    ENTER(NEEDS_INIT);
    (void)attribute, (void)value;
    return object_find(A_POOL, handle) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuPointerGetAttribute(void *value, CUpointer_attribute attribute, CUdeviceptr address) {
    ENTER(NEEDS_CONTEXT);
    const Allocation *a = memory_at(address);
    if (!a || !a->alive) return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *(unsigned *)value = a->place == ON_DEVICE ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)value = a->device; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: *(CUdeviceptr *)value = a->at; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *(size_t *)value = a->bytes; return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: *(int *)value = 0; return CUDA_SUCCESS;
    default: return CUDA_ERROR_NOT_SUPPORTED;
    }
}

// Of memory that the driver does not know, every attribute is 0.
CUresult cuPointerGetAttributes(unsigned n, CUpointer_attribute *wanted, void **values, CUdeviceptr address) {
    ENTER(NEEDS_CONTEXT);
    const Allocation *a = memory_at(address);
    const bool known = a && a->alive;
    for (unsigned i = 0; i < n; i++) {
        const bool type = wanted[i] == CU_POINTER_ATTRIBUTE_MEMORY_TYPE;
        if (!known || !type)
            *(int *)values[i] = known && wanted[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL ? a->device : 0;
        else
            *(unsigned *)values[i] = a->place == ON_DEVICE ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
    }
    return CUDA_SUCCESS;
}
