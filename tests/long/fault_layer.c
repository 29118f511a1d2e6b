// A Vulkan layer that makes one call fail. `faults.py` builds it, enables it for a training, and moves the fault
// from call to call.
//
// FAULT_CALL    submit, wait, allocate, buffer or pipeline
// FAULT_AT      which of those calls fails, counted from 1 per process; 0 for none
// FAULT_RESULT  lost (VK_ERROR_DEVICE_LOST) or memory (VK_ERROR_OUT_OF_DEVICE_MEMORY)
// FAULT_TIMES   how many calls fail from that one on, each on a new device if the device is lost (default 1)
// FAULT_LOG     file to which the number of calls of each kind is written at process exit
//
// As with a real loss, every later call on a lost device returns VK_ERROR_DEVICE_LOST.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vk_layer.h>
#include <vulkan/vulkan.h>

#define EXPORT __attribute__((visibility("default")))

enum call { SUBMIT, WAIT, ALLOCATE, BUFFER, PIPELINE, CALLS };
static const char *const call_names[CALLS] = { "submit", "wait", "allocate", "buffer", "pipeline" };

struct device {
    VkDevice handle;
    void *key;
    int lost;
    PFN_vkGetDeviceProcAddr next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct device devices[256];
static int device_count;
static PFN_vkGetInstanceProcAddr next_instance;
static VkInstance instance;
static unsigned long counts[CALLS];
static int failed;

// A queue and its device start with the same pointer, the loader's dispatch table.
static void *key_of(const void *handle) { return *(void *const *)handle; }

static struct device *device_of(const void *handle) {
    void *key = key_of(handle);
    for (int i = device_count - 1; i >= 0; i--)
        if (devices[i].key == key) return &devices[i];
    return NULL;
}

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

// Counts a call and decides whether it fails, and with which result.
static VkResult judge(const void *handle, enum call call) {
    pthread_mutex_lock(&lock);
    struct device *device = device_of(handle);
    VkResult result = VK_SUCCESS;
    unsigned long number = ++counts[call];
    unsigned long at = strtoul(setting("FAULT_AT", "0"), NULL, 10);
    int times = atoi(setting("FAULT_TIMES", "1"));
    int lost = strcmp(setting("FAULT_RESULT", "lost"), "lost") == 0;
    if (device->lost) {
        result = VK_ERROR_DEVICE_LOST;
    } else if (at && number >= at && failed < times && !strcmp(setting("FAULT_CALL", ""), call_names[call])) {
        failed++;
        device->lost = lost;
        result = lost ? VK_ERROR_DEVICE_LOST : VK_ERROR_OUT_OF_DEVICE_MEMORY;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

#define NEXT(any, name) ((PFN_##name)device_of(any)->next(device_of(any)->handle, #name))

static VkResult VKAPI_CALL QueueSubmit(VkQueue queue, uint32_t n, const VkSubmitInfo *submits, VkFence fence) {
    VkResult result = judge(queue, SUBMIT);
    return result ? result : NEXT(queue, vkQueueSubmit)(queue, n, submits, fence);
}

static VkResult VKAPI_CALL WaitForFences(VkDevice d, uint32_t n, const VkFence *fences, VkBool32 all, uint64_t ns) {
    VkResult result = judge(d, WAIT);
    return result ? result : NEXT(d, vkWaitForFences)(d, n, fences, all, ns);
}

static VkResult VKAPI_CALL WaitSemaphores(VkDevice d, const VkSemaphoreWaitInfo *info, uint64_t ns) {
    VkResult result = judge(d, WAIT);
    return result ? result : NEXT(d, vkWaitSemaphores)(d, info, ns);
}

static VkResult VKAPI_CALL AllocateMemory(VkDevice d, const VkMemoryAllocateInfo *info,
                                          const VkAllocationCallbacks *callbacks, VkDeviceMemory *memory) {
    VkResult result = judge(d, ALLOCATE);
    return result ? result : NEXT(d, vkAllocateMemory)(d, info, callbacks, memory);
}

static VkResult VKAPI_CALL CreateBuffer(VkDevice d, const VkBufferCreateInfo *info,
                                        const VkAllocationCallbacks *callbacks, VkBuffer *buffer) {
    VkResult result = judge(d, BUFFER);
    return result ? result : NEXT(d, vkCreateBuffer)(d, info, callbacks, buffer);
}

static VkResult VKAPI_CALL CreateComputePipelines(VkDevice d, VkPipelineCache cache, uint32_t n,
                                                  const VkComputePipelineCreateInfo *infos,
                                                  const VkAllocationCallbacks *callbacks, VkPipeline *pipelines) {
    VkResult result = judge(d, PIPELINE);
    return result ? result : NEXT(d, vkCreateComputePipelines)(d, cache, n, infos, callbacks, pipelines);
}

static void write_log(void) {
    const char *path = getenv("FAULT_LOG");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    for (int call = 0; call < CALLS; call++) fprintf(file, "%s %lu\n", call_names[call], counts[call]);
    fprintf(file, "failed %d\n", failed);
    fclose(file);
}

static VkResult VKAPI_CALL CreateInstance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *callbacks,
                                          VkInstance *created) {
    VkLayerInstanceCreateInfo *link = (VkLayerInstanceCreateInfo *)info->pNext;
    while (link->sType != VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO || link->function != VK_LAYER_LINK_INFO)
        link = (VkLayerInstanceCreateInfo *)link->pNext;
    next_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)next_instance(VK_NULL_HANDLE, "vkCreateInstance");
    VkResult result = create(info, callbacks, created);
    instance = *created;
    static int registered;
    if (!registered++) atexit(write_log);
    return result;
}

static VkResult VKAPI_CALL CreateDevice(VkPhysicalDevice adapter, const VkDeviceCreateInfo *info,
                                        const VkAllocationCallbacks *callbacks, VkDevice *created) {
    VkLayerDeviceCreateInfo *link = (VkLayerDeviceCreateInfo *)info->pNext;
    while (link->sType != VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO || link->function != VK_LAYER_LINK_INFO)
        link = (VkLayerDeviceCreateInfo *)link->pNext;
    PFN_vkGetDeviceProcAddr next = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
    PFN_vkGetInstanceProcAddr of_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
    link->u.pLayerInfo = link->u.pLayerInfo->pNext;
    PFN_vkCreateDevice create = (PFN_vkCreateDevice)of_instance(instance, "vkCreateDevice");
    VkResult result = create(adapter, info, callbacks, created);
    if (result == VK_SUCCESS) {
        pthread_mutex_lock(&lock);
        devices[device_count++ % 256] = (struct device){ *created, key_of(*created), 0, next };
        pthread_mutex_unlock(&lock);
    }
    return result;
}

EXPORT PFN_vkVoidFunction VKAPI_CALL vkGetDeviceProcAddr(VkDevice device, const char *name);

static PFN_vkVoidFunction ours(const char *name) {
    struct { const char *name; PFN_vkVoidFunction function; } list[] = {
        { "vkGetDeviceProcAddr", (PFN_vkVoidFunction)vkGetDeviceProcAddr },
        { "vkCreateInstance", (PFN_vkVoidFunction)CreateInstance },
        { "vkCreateDevice", (PFN_vkVoidFunction)CreateDevice },
        { "vkQueueSubmit", (PFN_vkVoidFunction)QueueSubmit },
        { "vkWaitForFences", (PFN_vkVoidFunction)WaitForFences },
        { "vkWaitSemaphores", (PFN_vkVoidFunction)WaitSemaphores },
        { "vkWaitSemaphoresKHR", (PFN_vkVoidFunction)WaitSemaphores },
        { "vkAllocateMemory", (PFN_vkVoidFunction)AllocateMemory },
        { "vkCreateBuffer", (PFN_vkVoidFunction)CreateBuffer },
        { "vkCreateComputePipelines", (PFN_vkVoidFunction)CreateComputePipelines },
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (!strcmp(name, list[i].name)) return list[i].function;
    return NULL;
}

EXPORT PFN_vkVoidFunction VKAPI_CALL vkGetDeviceProcAddr(VkDevice device, const char *name) {
    PFN_vkVoidFunction function = ours(name);
    return function ? function : device_of(device)->next(device, name);
}

EXPORT PFN_vkVoidFunction VKAPI_CALL vkGetInstanceProcAddr(VkInstance of, const char *name) {
    if (!strcmp(name, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)vkGetInstanceProcAddr;
    PFN_vkVoidFunction function = ours(name);
    return function ? function : next_instance(of, name);
}
