// Modules: what libraries are to a context of its own, with functions in the place of kernels.
#include "standin.h"

#define MAX_FUNCTIONS 64
typedef struct {
    Object object;
    Context *context;
    void *image;
    Kernel *functions[MAX_FUNCTIONS];
    int function_count;
} Module;

static CUresult load(CUmodule *made, const void *code) {
    void *image = image_copy(code);
    if (!image) return CUDA_ERROR_INVALID_IMAGE;
    Module *module = object_new(A_MODULE, sizeof *module);
    module->context = context_current();
    module->image = image;
    *made = (CUmodule)module;
    return CUDA_SUCCESS;
}

static Module *of_current_context(CUmodule handle) {
    Module *module = object_find(A_MODULE, handle);
    if (!module || module->context == context_current()) return module;
    report("module %d of one context was used while another was current", module->object.number);
    return NULL;
}

CUresult cuModuleLoadData(CUmodule *made, const void *code) {
    ENTER(NEEDS_CONTEXT);
    return load(made, code);
}

// The compiler's texts are empty, whatever comes of it: callers read them after an error too.
static void empty_texts(unsigned n, const CUjit_option *options, void **values) {
    for (unsigned i = 0; i < n; i++)
        switch (options[i]) {
        case CU_JIT_INFO_LOG_BUFFER:
        case CU_JIT_ERROR_LOG_BUFFER: *(char *)values[i] = 0; break;
        case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
        case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES: values[i] = 0; break;
        default: break;
        }
}

CUresult cuModuleLoadDataEx(CUmodule *made, const void *code, unsigned n, CUjit_option *options,
                            void **values) {
    empty_texts(n, options, values);
    ENTER(NEEDS_CONTEXT);
    return load(made, code);
}

CUresult cuModuleGetFunction(CUfunction *made, CUmodule handle, const char *name) {
    ENTER(NEEDS_CONTEXT);
    Module *module = of_current_context(handle);
    if (!module) return CUDA_ERROR_INVALID_HANDLE;
    if (module->function_count == MAX_FUNCTIONS) return CUDA_ERROR_OUT_OF_MEMORY;
    const CUresult error = kernel_of(module->image, name, (Kernel **)made);
    if (!error) module->functions[module->function_count++] = (Kernel *)*made;
    return error;
}

CUresult cuModuleUnload(CUmodule handle) {
    ENTER(NEEDS_CONTEXT | RELEASES);
    Module *module = of_current_context(handle);
    if (!module) return CUDA_ERROR_INVALID_HANDLE;
    while (module->function_count)
        object_end(module->functions[--module->function_count]);
    free(module->image);
    object_end(module);
    GIVEN_BACK;
}
