/* libFuzzer harness of search/PLATFORM.jsonl. */
#include "base/json.h"
#include "fuzz_file.h"
#include "run/search_file.h"

static const char text[] =
    "{\"name\": \"small\", \"resolution\": [9, 12],"
    " \"stem\": {\"kernel\": 3, \"stride\": 1, \"width\": 8, \"activation\": \"relu\"},"
    " \"stages\": [{\"width\": [8, 16], \"stride\": 2, \"depth\": [1, 2], \"kernel\": [3, 5],"
    "  \"expand\": [2, 3], \"squeeze_excite\": false, \"activation\": \"relu\"}],"
    " \"head\": {\"width\": 16, \"activation\": \"relu\", \"hidden\": [16],"
    "  \"hidden_activation\": \"relu\"}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
    static nas_space space;
    char path[32];
    nas_error err = {0};
    json_t *json = NULL;
    if (!space.n_genes && (nas_json_parse(text, strlen(text), 0, "space", &json, &err) ||
                           nas_space_parse(json, "space", 1, 4, &space, &err)))
        abort();
    json_decref(json);
    nas_memo memo = {.space = &space};
    int rc = nas_search_file_read(fuzz_file(data, bytes, path), &space, &memo, &err);
    FUZZ_JUDGE(rc, err);
    nas_memo_free(&memo);
    return 0;
}
