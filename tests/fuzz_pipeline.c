/* libFuzzer harness of manifests and pipelines: the first that an input can be. */
#include "fuzz_file.h"
#include "host/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    char path[32];
    nas_error err = {0};
    nas_services services = {0};
    nas_registry *registry = NULL;
    nas_pipeline pipeline;
    const char *file = fuzz_file(data, bytes, path);
    int rc = nas_registry_open(&file, 1, &services, &registry, &err);
    FUZZ_JUDGE(rc, err);
    nas_registry_close(registry);
    if (!rc) return 0;
    if (nas_registry_open(NULL, 0, &services, &registry, &err)) return 0;
    rc = nas_pipeline_load(file, NULL, 0, registry, &pipeline, &err);
    FUZZ_JUDGE(rc, err);
    if (!rc) nas_pipeline_free(&pipeline);
    nas_registry_close(registry);
    return 0;
}
