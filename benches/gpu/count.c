// A Vulkan layer that counts what a program asks of a device, and at its end appends a line of JSON to $TOX_COUNT:
// launches of kernels, submissions, copies between buffers and their bytes, and waits of the host for the device. A
// wait is one for another point than the last; calls again and again for one point, as of a thread that polls, are one.
// `waits_newest` are for all that was submitted, so that the device is idle when they end; `waits_older` leave it work.
//
//   gcc -O1 -shared -fPIC -fvisibility=hidden -Wl,-Bsymbolic count.c -o libtoxcount.so
//   VK_LAYER_PATH=$PWD VK_INSTANCE_LAYERS=VK_LAYER_TOX_count TOX_COUNT=counts.jsonl PROGRAM
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

static atomic_long launches, submits, copies, bytes, waits_newest, waits_older;
// Of one timeline, as wgpu has it; a program with several devices is not what this is for.
static _Atomic uint64_t submitted, waited;

static PFN_vkGetInstanceProcAddr next_instance;
static PFN_vkGetDeviceProcAddr next_device;
static VkInstance instance;

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("TOX_COUNT");
    FILE *file = path && *path && launches ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file,
            "{\"launches\": %ld, \"submits\": %ld, \"copies\": %ld, \"bytes\": %ld, \"waits_newest\": %ld, "
            "\"waits_older\": %ld}\n",
            launches, submits, copies, bytes, waits_newest, waits_older);
    fclose(file);
}

#define NEXT(name) static PFN_vk##name next_##name
NEXT(CmdDispatch);
NEXT(CmdDispatchIndirect);
NEXT(QueueSubmit);
NEXT(CmdCopyBuffer);
NEXT(WaitForFences);
NEXT(WaitSemaphores);

static VKAPI_ATTR void VKAPI_CALL tox_CmdDispatch(VkCommandBuffer c, uint32_t x, uint32_t y, uint32_t z) {
    launches++;
    next_CmdDispatch(c, x, y, z);
}

static VKAPI_ATTR void VKAPI_CALL tox_CmdDispatchIndirect(VkCommandBuffer c, VkBuffer b, VkDeviceSize at) {
    launches++;
    next_CmdDispatchIndirect(c, b, at);
}

// wgpu gives its semaphores without values the largest number.
static void note(uint64_t value) {
    if (value != UINT64_MAX && value > submitted) submitted = value;
}

static VKAPI_ATTR VkResult VKAPI_CALL tox_QueueSubmit(VkQueue q, uint32_t n, const VkSubmitInfo *infos, VkFence f) {
    submits++;
    for (uint32_t i = 0; i < n; i++) {
        for (const VkBaseInStructure *p = infos[i].pNext; p; p = p->pNext) {
            if (p->sType != VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO) continue;
            const VkTimelineSemaphoreSubmitInfo *values = (const void *)p;
            for (uint32_t k = 0; k < values->signalSemaphoreValueCount; k++)
                note(values->pSignalSemaphoreValues[k]);
        }
    }
    return next_QueueSubmit(q, n, infos, f);
}

static VKAPI_ATTR void VKAPI_CALL tox_CmdCopyBuffer(VkCommandBuffer c, VkBuffer from, VkBuffer to, uint32_t n,
                                                    const VkBufferCopy *regions) {
    copies += n;
    for (uint32_t i = 0; i < n; i++) bytes += regions[i].size;
    next_CmdCopyBuffer(c, from, to, n, regions);
}

// A driver without timelines: each is taken for one for the newest.
static VKAPI_ATTR VkResult VKAPI_CALL tox_WaitForFences(VkDevice d, uint32_t n, const VkFence *f, VkBool32 all,
                                                        uint64_t timeout) {
    waits_newest++;
    return next_WaitForFences(d, n, f, all, timeout);
}

static VKAPI_ATTR VkResult VKAPI_CALL tox_WaitSemaphores(VkDevice d, const VkSemaphoreWaitInfo *info,
                                                         uint64_t timeout) {
    uint64_t value = info->semaphoreCount ? info->pValues[0] : 0;
    if (atomic_exchange(&waited, value) != value) {
        if (value < submitted) waits_older++;
        else waits_newest++;
    }
    return next_WaitSemaphores(d, info, timeout);
}

#define HOOK(name)                                                                \
    if (!strcmp(wanted, "vk" #name) || !strcmp(wanted, "vk" #name "KHR")) {       \
        PFN_vk##name found = (PFN_vk##name)next_device(device, wanted);           \
        if (found) next_##name = found;                                           \
        return found ? (PFN_vkVoidFunction)tox_##name : NULL;                     \
    }
__attribute__((visibility("default"))) VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL
vkGetDeviceProcAddr(VkDevice device, const char *wanted) {
    if (!strcmp(wanted, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)vkGetDeviceProcAddr;
    HOOK(CmdDispatch)
    HOOK(CmdDispatchIndirect)
    HOOK(QueueSubmit)
    HOOK(CmdCopyBuffer)
    HOOK(WaitForFences)
    HOOK(WaitSemaphores)
    return next_device(device, wanted);
}

static VKAPI_ATTR VkResult VKAPI_CALL tox_CreateInstance(const VkInstanceCreateInfo *info,
                                                         const VkAllocationCallbacks *a, VkInstance *made) {
    VkLayerInstanceCreateInfo *link = (void *)info->pNext;
    while (link && !(link->sType == VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO &&
                     link->function == VK_LAYER_LINK_INFO))
        link = (void *)link->pNext;
    if (!link) return VK_ERROR_INITIALIZATION_FAILED;
    next_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)next_instance(NULL, "vkCreateInstance");
    VkResult result = create(info, a, made);
    if (result == VK_SUCCESS) instance = *made;
    return result;
}

static VKAPI_ATTR VkResult VKAPI_CALL tox_CreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                                       const VkAllocationCallbacks *a, VkDevice *made) {
    VkLayerDeviceCreateInfo *link = (void *)info->pNext;
    while (link && !(link->sType == VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO &&
                     link->function == VK_LAYER_LINK_INFO))
        link = (void *)link->pNext;
    if (!link) return VK_ERROR_INITIALIZATION_FAILED;
    PFN_vkGetInstanceProcAddr get = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    next_device = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    return ((PFN_vkCreateDevice)get(instance, "vkCreateDevice"))(physical, info, a, made);
}

__attribute__((visibility("default"))) VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL
vkGetInstanceProcAddr(VkInstance of, const char *wanted) {
    if (!strcmp(wanted, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)vkGetInstanceProcAddr;
    if (!strcmp(wanted, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)vkGetDeviceProcAddr;
    if (!strcmp(wanted, "vkCreateInstance")) return (PFN_vkVoidFunction)tox_CreateInstance;
    if (!strcmp(wanted, "vkCreateDevice")) return (PFN_vkVoidFunction)tox_CreateDevice;
    return next_instance ? next_instance(of, wanted) : NULL;
}
