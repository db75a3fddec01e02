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

/* It has no status: what it changed of the process is put back. */
static uint64_t fingerprint(void *self, nas_split split) {
    const nas_instance *instance = self;
    const nas_dataset_api *api = instance->plugin->vtable;
    nas_call call;
    nas_call_begin(&call, instance, "fingerprint");
    uint64_t hash = api->fingerprint(instance->self, split);
    return nas_call_done(&call, NULL) ? 0 : hash;
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

const nas_dataset_api nas_guarded_dataset = {
    .size = sizeof nas_guarded_dataset, .info = info, .read = read_images};
static const nas_dataset_api with_fingerprint = {.size = sizeof with_fingerprint,
                                                 .info = info,
                                                 .read = read_images,
                                                 .fingerprint = fingerprint};
const nas_hardware_api nas_guarded_hardware = {.size = sizeof nas_guarded_hardware, .cost = cost};

const nas_dataset_api *nas_guarded_dataset_of(const nas_instance *instance) {
    const nas_dataset_api *api = instance->plugin->vtable;
    return NAS_HAS(api, fingerprint) && api->fingerprint ? &with_fingerprint : &nas_guarded_dataset;
}
