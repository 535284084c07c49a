// Libraries and kernels. A kernel's arguments are those of its cubin; what it does is an emulation of its
// name.
#include "standin.h"

typedef struct Library {
    Object object;
    void *image;
} Library;
typedef struct Emulation {
    char name[64];
    KernelTouches touches;
    KernelWork work;
    struct Emulation *next;
} Emulation;

static Emulation *emulations;

// `touches` lists what a launch with these arguments reads and writes; `work` does it, and gives 0.
EXPORT void standin_emulate(const char *name, KernelTouches touches, KernelWork work) {
    Emulation *emulation = calloc(1, sizeof *emulation);
    *emulation = (Emulation){.touches = touches, .work = work, .next = emulations};
    snprintf(emulation->name, sizeof emulation->name, "%s", name);
    emulations = emulation;
}

// The size of an ELF image: its section headers are its last part, or its program headers are.
static size_t image_bytes(const unsigned char *image) {
    uint64_t sections, programs;
    uint16_t program_size, program_count, section_size, section_count;
    memcpy(&programs, image + 32, 8);
    memcpy(&sections, image + 40, 8);
    memcpy(&program_size, image + 54, 2);
    memcpy(&program_count, image + 56, 2);
    memcpy(&section_size, image + 58, 2);
    memcpy(&section_count, image + 60, 2);
    const uint64_t a = programs + (uint64_t)program_size * program_count;
    const uint64_t b = sections + (uint64_t)section_size * section_count;
    return a > b ? a : b;
}

void *image_copy(const void *code) {
    if (!code || memcmp(code, "\177ELF", 4)) return NULL;
    const size_t bytes = image_bytes(code);
    return memcpy(malloc(bytes), code, bytes);
}

CUresult cuLibraryLoadData(CUlibrary *made, const void *code, CUjit_option *jit, void **jit_values,
                           unsigned jit_n, CUlibraryOption *options, void **values, unsigned n) {
    ENTER(NEEDS_INIT);
    (void)jit, (void)jit_values, (void)jit_n, (void)options, (void)values, (void)n;
    void *image = image_copy(code);
    if (!image) return CUDA_ERROR_INVALID_IMAGE;
    Library *library = object_new(A_LIBRARY, sizeof *library);
    library->image = image;
    *made = (CUlibrary)library;
    return CUDA_SUCCESS;
}

CUresult cuLibraryUnload(CUlibrary handle) {
    ENTER(NEEDS_INIT | RELEASES);
    Library *library = object_find(A_LIBRARY, handle);
    if (!library) return CUDA_ERROR_INVALID_HANDLE;
    object_end(library);
    GIVEN_BACK;
}

CUresult kernel_of(const void *image, const char *name, Kernel **made) {
    Argument arguments[MAX_ARGUMENTS];
    const int n = cubin_arguments(image, name, arguments);
    if (n < 0) return CUDA_ERROR_NOT_FOUND;
    Kernel *kernel = object_new(A_KERNEL, sizeof *kernel);
    snprintf(kernel->name, sizeof kernel->name, "%s", name);
    memcpy(kernel->arguments, arguments, n * sizeof *arguments);
    kernel->argument_count = n;
    *made = kernel;
    return CUDA_SUCCESS;
}

CUresult cuLibraryGetKernel(CUkernel *made, CUlibrary handle, const char *name) {
    ENTER(NEEDS_INIT);
    const Library *library = object_find(A_LIBRARY, handle);
    return library ? kernel_of(library->image, name, (Kernel **)made) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuKernelGetFunction(CUfunction *function, CUkernel handle) {
    ENTER(NEEDS_CONTEXT);
    *function = object_find(A_KERNEL, handle);
    return *function ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuKernelGetAttribute(int *value, CUfunction_attribute attribute, CUkernel handle, CUdevice device) {
    ENTER(NEEDS_INIT);
    (void)device;
    if (!object_find(A_KERNEL, handle)) return CUDA_ERROR_INVALID_HANDLE;
    *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : 0;
    return CUDA_SUCCESS;
}

static CUresult argument_of(const void *handle, size_t index, size_t *offset, size_t *bytes) {
    const Kernel *kernel = object_find(A_KERNEL, handle);
    if (!kernel) return CUDA_ERROR_INVALID_HANDLE;
    if (index >= (size_t)kernel->argument_count) return CUDA_ERROR_INVALID_VALUE;
    *offset = kernel->arguments[index].offset;
    if (bytes) *bytes = kernel->arguments[index].bytes;
    return CUDA_SUCCESS;
}

CUresult cuKernelGetParamInfo(CUkernel kernel, size_t index, size_t *offset, size_t *bytes) {
    ENTER(NEEDS_INIT);
    return argument_of(kernel, index, offset, bytes);
}

CUresult cuFuncGetParamInfo(CUfunction function, size_t index, size_t *offset, size_t *bytes) {
    ENTER(NEEDS_CONTEXT);
    return argument_of(function, index, offset, bytes);
}

// The shape that cuLaunch of old took from here is an argument of every launch now.
CUresult cuFuncSetBlockShape(CUfunction function, int x, int y, int z) {
    ENTER(NEEDS_CONTEXT);
    if (!object_find(A_KERNEL, function)) return CUDA_ERROR_INVALID_HANDLE;
    return x < 1 || y < 1 || z < 1 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static bool too_large(const CUlaunchConfig *shape) {
    const uint64_t threads = (uint64_t)shape->blockDimX * shape->blockDimY * shape->blockDimZ;
    const uint64_t blocks = (uint64_t)shape->gridDimX * shape->gridDimY * shape->gridDimZ;
    return !threads || threads > 1024 || !blocks || shape->gridDimY > 65535 || shape->gridDimZ > 65535;
}

// The arguments are copied now, as a driver does, and their memory may go as soon as this returns.
static void take_arguments(Operation *operation, const Kernel *kernel, void **arguments) {
    operation->arguments = calloc(kernel->argument_count + 1, sizeof *operation->arguments);
    for (int i = 0; i < kernel->argument_count; i++) {
        operation->arguments[i] = malloc(kernel->arguments[i].bytes);
        memcpy(operation->arguments[i], arguments[i], kernel->arguments[i].bytes);
    }
}

// Arguments in one buffer, each at its offset: where they are in it, if it is as large as they are.
static bool unpack(const Kernel *kernel, void **packed, void **arguments) {
    const char *buffer = NULL;
    size_t bytes = 0;
    for (; *packed != CU_LAUNCH_PARAM_END; packed += 2)
        if (*packed == CU_LAUNCH_PARAM_BUFFER_POINTER)
            buffer = packed[1];
        else if (*packed == CU_LAUNCH_PARAM_BUFFER_SIZE)
            bytes = *(size_t *)packed[1];
        else
            return false;
    size_t end = 0;
    for (int i = 0; i < kernel->argument_count; i++) {
        const Argument *argument = &kernel->arguments[i];
        arguments[i] = (void *)(buffer + argument->offset);
        end = argument->offset + argument->bytes;
    }
    return bytes == end && (!end || buffer);
}

static CUresult launch(const CUlaunchConfig *shape, CUfunction handle, void **arguments, void **packed) {
    CUresult error;
    Kernel *kernel = object_find(A_KERNEL, handle);
    Stream *stream = stream_find(shape->hStream, &error);
    if (!kernel || !stream) return error ? error : CUDA_ERROR_INVALID_HANDLE;
    void *unpacked[MAX_ARGUMENTS];
    if (packed && (arguments || !unpack(kernel, packed, unpacked))) return CUDA_ERROR_INVALID_VALUE;
    if (packed) arguments = unpacked;
    if (too_large(shape) || (kernel->argument_count && !arguments)) return CUDA_ERROR_INVALID_VALUE;
    Emulation *emulation = emulations;
    while (emulation && strcmp(emulation->name, kernel->name))
        emulation = emulation->next;
    if (!emulation) {
        report("kernel '%s' has no emulation", kernel->name);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    kernel->touches = emulation->touches;
    kernel->work = emulation->work;
    Operation operation = {.does = DOES_KERNEL, .kernel = kernel, .shape = *shape};
    snprintf(operation.name, sizeof operation.name, "%s", kernel->name);
    take_arguments(&operation, kernel, arguments);
    const unsigned grid[6] = {shape->gridDimX,  shape->gridDimY,  shape->gridDimZ,
                              shape->blockDimX, shape->blockDimY, shape->blockDimZ};
    Access accesses[MAX_ARGUMENTS];
    const int n = kernel->touches(operation.arguments, grid, accesses, MAX_ARGUMENTS);
    if (n < 0 || n > MAX_ARGUMENTS) return CUDA_ERROR_INVALID_VALUE;
    for (int i = 0; i < n; i++)
        operation_touches(&operation, accesses[i].at, accesses[i].bytes, accesses[i].writes);
    return stream_submit(stream, &operation);
}

CUresult cuLaunchKernelEx(const CUlaunchConfig *shape, CUfunction kernel, void **arguments, void **packed) {
    ENTER(NEEDS_CONTEXT);
    return launch(shape, kernel, arguments, packed);
}

CUresult cuLaunchKernel(CUfunction kernel, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                        CUstream stream, void **arguments, void **packed) {
    ENTER(NEEDS_CONTEXT);
    const CUlaunchConfig shape = {.gridDimX = grid_x,
                                  .gridDimY = grid_y,
                                  .gridDimZ = grid_z,
                                  .blockDimX = block_x,
                                  .blockDimY = block_y,
                                  .blockDimZ = block_z,
                                  .sharedMemBytes = shared_bytes,
                                  .hStream = stream};
    return launch(&shape, kernel, arguments, packed);
}
