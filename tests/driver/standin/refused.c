// What pycuda links beside the rest: the loader wants every name of it, though nothing here calls one.
//
// The arguments are not looked at, so the functions are declared without any, and `cuda.h` is left out, which
// would refuse that.
typedef struct {
    int planted;
} Call;
int enter(const char *name, int flags, Call *call);
void leave(Call *call);
void log_line(int kind, const char *format, ...) __attribute__((format(printf, 2, 3)));

enum { NEEDS_NOTHING = 0, LINES_REPORTS = 2, NOT_SUPPORTED = 801 };

static int refuse(const char *name) {
    __attribute__((cleanup(leave))) Call call = {0};
    const int error = enter(name, NEEDS_NOTHING, &call);
    if (error) return error;
    log_line(LINES_REPORTS, "%s was called, which the stand-in does not have", name);
    return NOT_SUPPORTED;
}

#define REFUSED(name) \
    int name(void) { return refuse(#name); }

REFUSED(cuArray3DCreate_v2)
REFUSED(cuArray3DGetDescriptor_v2)
REFUSED(cuArrayCreate_v2)
REFUSED(cuArrayDestroy)
REFUSED(cuArrayGetDescriptor_v2)
REFUSED(cuCtxAttach)
REFUSED(cuCtxDisablePeerAccess)
REFUSED(cuCtxEnablePeerAccess)
REFUSED(cuCtxGetApiVersion)
REFUSED(cuCtxGetCacheConfig)
REFUSED(cuCtxGetLimit)
REFUSED(cuCtxGetSharedMemConfig)
REFUSED(cuCtxSetCacheConfig)
REFUSED(cuCtxSetLimit)
REFUSED(cuCtxSetSharedMemConfig)
REFUSED(cuDeviceCanAccessPeer)
REFUSED(cuDeviceGetByPCIBusId)
REFUSED(cuDeviceGetPCIBusId)
REFUSED(cuFuncGetAttribute)
REFUSED(cuFuncSetAttribute)
REFUSED(cuFuncSetCacheConfig)
REFUSED(cuFuncSetSharedSize)
REFUSED(cuIpcCloseMemHandle)
REFUSED(cuIpcGetEventHandle)
REFUSED(cuIpcGetMemHandle)
REFUSED(cuIpcOpenEventHandle)
REFUSED(cuIpcOpenMemHandle_v2)
REFUSED(cuLaunch)
REFUSED(cuLaunchGrid)
REFUSED(cuLaunchGridAsync)
REFUSED(cuLinkAddData_v2)
REFUSED(cuLinkAddFile_v2)
REFUSED(cuLinkComplete)
REFUSED(cuLinkCreate_v2)
REFUSED(cuLinkDestroy)
REFUSED(cuMemAllocManaged)
REFUSED(cuMemAllocPitch_v2)
REFUSED(cuMemGetAddressRange_v2)
REFUSED(cuMemHostGetFlags)
REFUSED(cuMemHostRegister_v2)
REFUSED(cuMemHostUnregister)
REFUSED(cuMemcpy2DAsync_v2)
REFUSED(cuMemcpy2DUnaligned_v2)
REFUSED(cuMemcpy2D_v2)
REFUSED(cuMemcpy3DAsync_v2)
REFUSED(cuMemcpy3DPeer)
REFUSED(cuMemcpy3DPeerAsync)
REFUSED(cuMemcpy3D_v2)
REFUSED(cuMemcpyAtoA_v2)
REFUSED(cuMemcpyAtoD_v2)
REFUSED(cuMemcpyAtoH_v2)
REFUSED(cuMemcpyDtoA_v2)
REFUSED(cuMemcpyDtoD_v2)
REFUSED(cuMemcpyHtoA_v2)
REFUSED(cuMemcpyPeer)
REFUSED(cuMemcpyPeerAsync)
REFUSED(cuMemsetD16_v2)
REFUSED(cuMemsetD2D16Async)
REFUSED(cuMemsetD2D16_v2)
REFUSED(cuMemsetD2D32Async)
REFUSED(cuMemsetD2D32_v2)
REFUSED(cuMemsetD2D8Async)
REFUSED(cuMemsetD2D8_v2)
REFUSED(cuMemsetD32_v2)
REFUSED(cuMemsetD8_v2)
REFUSED(cuModuleGetGlobal_v2)
REFUSED(cuModuleGetSurfRef)
REFUSED(cuModuleGetTexRef)
REFUSED(cuModuleLoad)
REFUSED(cuParamSetSize)
REFUSED(cuParamSetTexRef)
REFUSED(cuParamSetf)
REFUSED(cuParamSeti)
REFUSED(cuParamSetv)
REFUSED(cuProfilerInitialize)
REFUSED(cuProfilerStart)
REFUSED(cuProfilerStop)
REFUSED(cuStreamAttachMemAsync)
REFUSED(cuSurfRefGetArray)
REFUSED(cuSurfRefSetArray)
REFUSED(cuTexRefCreate)
REFUSED(cuTexRefDestroy)
REFUSED(cuTexRefGetAddressMode)
REFUSED(cuTexRefGetAddress_v2)
REFUSED(cuTexRefGetArray)
REFUSED(cuTexRefGetFilterMode)
REFUSED(cuTexRefGetFlags)
REFUSED(cuTexRefGetFormat)
REFUSED(cuTexRefSetAddress2D_v3)
REFUSED(cuTexRefSetAddressMode)
REFUSED(cuTexRefSetAddress_v2)
REFUSED(cuTexRefSetArray)
REFUSED(cuTexRefSetFilterMode)
REFUSED(cuTexRefSetFlags)
REFUSED(cuTexRefSetFormat)
