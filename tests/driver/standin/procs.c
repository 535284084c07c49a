// How callers find the functions: by the name without its version, and the CUDA version whose form they want.
#include "standin.h"
#include <dlfcn.h>

typedef struct {
    const char *name;
    int from, to;
    const char *symbol;
} Form;

// Functions whose arguments changed, with the CUDA versions that ask for the form that is here.
static const Form forms[] = {
    {"cuCtxCreate", 12050, 99999, "cuCtxCreate_v4"},
    {"cuStreamGetCtx", 9020, 12049, "cuStreamGetCtx"},
    {"cuStreamGetCtx", 12050, 99999, "cuStreamGetCtx_v2"},
    {"cuStreamGetCaptureInfo", 12030, 99999, "cuStreamGetCaptureInfo_v3"},
    {"cuStreamUpdateCaptureDependencies", 12030, 99999, "cuStreamUpdateCaptureDependencies_v2"},
    {"cuGraphAddNode", 12030, 99999, "cuGraphAddNode_v2"},
    {"cuLaunchHostFunc", 10000, 13009, "cuLaunchHostFunc"},
};

static CUresult unsupported(void) {
    ENTER(NEEDS_NOTHING);
    report("a function was called that the stand-in does not have");
    return CUDA_ERROR_NOT_SUPPORTED;
}

static void *own_symbol(const char *name) {
    static void *self;
    if (!self) {
        Dl_info found;
        dladdr((void *)own_symbol, &found);
        self = dlopen(found.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    }
    return dlsym(self, name);
}

static void *find(const char *name, int version) {
    static const char *const suffixes[] = {"", "_v2", "_v3", "_v4"};
    bool changed = false;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(forms[i].name, name)) continue;
        changed = true;
        if (version >= forms[i].from && version <= forms[i].to) return own_symbol(forms[i].symbol);
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes && !changed; i++) {
        char symbol[128];
        snprintf(symbol, sizeof symbol, "%s%s", name, suffixes[i]);
        void *found = own_symbol(symbol);
        if (found) return found;
    }
    return NULL;
}

EXPORT CUresult cuGetProcAddress_v2(const char *name, void **function, int version, cuuint64_t flags,
                                    CUdriverProcAddressQueryResult *status) {
    (void)flags;
    const char *text = getenv("STANDIN_DRIVER_VERSION");
    const bool too_old = version > (text ? atoi(text) : 99999);
    void *found = find(name, version);
    *function = too_old ? NULL : found ? found : (void *)unsupported;
    if (status) *status = too_old ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT : CU_GET_PROC_ADDRESS_SUCCESS;
    return too_old ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}

#undef cuGetProcAddress
EXPORT CUresult cuGetProcAddress(const char *name, void **function, int version, cuuint64_t flags) {
    return cuGetProcAddress_v2(name, function, version, flags, NULL);
}

// NVRTC asks for a private table of the driver's if there is one, and takes no for an answer; where this
// function is missing and cuInit is not, it crashes.
CUresult cuGetExportTable(const void **table, const CUuuid *id) {
    ENTER(NEEDS_NOTHING);
    (void)id;
    *table = NULL;
    return CUDA_ERROR_NOT_FOUND;
}
