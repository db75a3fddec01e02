/* libFuzzer harness of spaces, and of genomes in the space that an input describes. */
#include "base/json.h"
#include "fuzz_file.h"
#include "space/genome.h"
#include "space/lower.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    nas_error err = {0};
    nas_space space;
    json_t *json = NULL;
    int rc = nas_json_parse((const char *)data, bytes, 0, "input", &json, &err);
    FUZZ_JUDGE(rc, err);
    const json_t *inner = json_object_get(json, "space");
    if (!rc) rc = nas_space_parse(inner ? inner : json, "input", 3, 10, &space, &err);
    FUZZ_JUDGE(rc, err);
    nas_genome genome;
    if (!rc) {
        rc = nas_genome_from_json(&space, json_object_get(json, "genome"), "input", &genome, &err);
        FUZZ_JUDGE(rc, err);
        char *text = rc ? NULL : nas_genome_text(&space, &genome);
        free(text);
    }
    json_decref(json);
    return 0;
}
