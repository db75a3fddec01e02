#include "host/guarded.h"

#include "host/call.h"

void *nas_guarded(const nas_instance *instance) {
    return (void *)(uintptr_t)instance;
}

static int info(void *self, nas_dataset_info *info_out, nas_error *err) {
    const nas_instance *instance = self;
    const nas_dataset_api *api = instance->plugin->vtable;
    nas_call call;
    nas_call_begin(&call, instance, "info");
    return nas_call_end(&call, api->info(instance->self, info_out, &call.err), err);
}

static int read_images(void *self, nas_split split, const uint64_t *indices, size_t n,
                       uint8_t *images, int32_t *labels, nas_error *err) {
    const nas_instance *instance = self;
    const nas_dataset_api *api = instance->plugin->vtable;
    nas_call call;
    nas_call_begin(&call, instance, "read");
    int status = api->read(instance->self, split, indices, n, images, labels, &call.err);
    return nas_call_end(&call, status, err);
}

/* What a call changes of the process is looked at on the main thread alone: the checks themselves
 * would disturb each other. */
static int read_aside(void *self, nas_split split, const uint64_t *indices, size_t n,
                      uint8_t *images, int32_t *labels, nas_error *err) {
    const nas_instance *instance = self;
    const nas_dataset_api *api = instance->plugin->vtable;
    nas_error why = {0};
    int status = api->read(instance->self, split, indices, n, images, labels, &why);
    return status ? nas_call_failed(instance, "read", status, &why, err) : NAS_OK;
}

static int labels(void *self, nas_split split, uint64_t first, size_t n, int32_t *to,
                  nas_error *err) {
    const nas_instance *instance = self;
    const nas_dataset_api *api = instance->plugin->vtable;
    nas_call call;
    nas_call_begin(&call, instance, "labels");
    int status = api->labels(instance->self, split, first, n, to, &call.err);
    return nas_call_end(&call, status, err);
}

nas_source_request nas_guarded_source(const nas_instance *instance) {
    const nas_dataset_api *api = instance->plugin->vtable;
    bool told = NAS_HAS(api, labels) && api->labels;
    return (nas_source_request){.api = &nas_guarded_dataset,
                                .self = nas_guarded(instance),
                                .read = read_aside,
                                .labels = told ? labels : NULL,
                                .parallel = NAS_HAS(api, parallel) && api->parallel};
}

static int cost(void *self, const nas_network *network, nas_cost *result, nas_error *err) {
    const nas_instance *instance = self;
    const nas_hardware_api *api = instance->plugin->vtable;
    if (nas_instance_barred(instance))
        return nas_fail(err, NAS_ERR_INPUT,
                        "plugin \"%s\" starts a program that its options name; give "
                        "--allow-commands if you know and trust it",
                        instance->plugin->id);
    nas_call call;
    nas_call_begin(&call, instance, "cost");
    return nas_call_end(&call, api->cost(instance->self, network, result, &call.err), err);
}

static uint64_t fingerprint(void *self, nas_split split) {
    const nas_instance *instance = self;
    const nas_dataset_api *api = instance->plugin->vtable;
    nas_call call;
    if (!NAS_HAS(api, fingerprint) || !api->fingerprint) return NAS_NO_FINGERPRINT;
    nas_call_begin(&call, instance, "fingerprint");
    uint64_t value = api->fingerprint(instance->self, split);
    nas_call_done(&call, NULL); /* what it changed is put back */
    return value;
}

const nas_dataset_api nas_guarded_dataset = {.size = sizeof nas_guarded_dataset,
                                             .info = info,
                                             .read = read_images,
                                             .fingerprint = fingerprint};
const nas_hardware_api nas_guarded_hardware = {sizeof nas_guarded_hardware, cost};
