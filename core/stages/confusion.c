#include "stages/confusion.h"

#include "base/json.h"
#include "base/memory.h"
#include "stages/figures.h"

#include <nashost/kit/logits.h>
#include <stdlib.h>

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Counts equal pairs, class * classes + answer, of which there are n. NULL: out of memory. */
static json_t *count(uint64_t *pairs, uint64_t n, uint64_t classes) {
    json_t *cells = json_array();
    if (n) qsort(pairs, n, sizeof *pairs, ascending);
    for (uint64_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && pairs[end] == pairs[first];) end++;
        json_t *cell = json_pack("[I, I, I]", (json_int_t)(pairs[first] / classes),
                                 (json_int_t)(pairs[first] % classes), (json_int_t)(end - first));
        nas_json_add(&cells, cell);
    }
    return cells;
}

int nas_confusion(nas_evaluator *evaluator, const nas_images *images, double *top1, json_t **json,
                  nas_error *err) {
    size_t classes = evaluator->context->source.info.classes;
    float *logits = nas_alloc(images->n + 1, classes * sizeof *logits);
    uint64_t *pairs = nas_alloc(images->n + 1, sizeof *pairs), n = 0;
    *json = NULL;
    int rc = logits && pairs
                 ? nas_evaluator_logits(evaluator, images, NULL, images->n, logits, err)
                 : nas_fail(err, NAS_ERR_MEMORY, "out of memory for the answers to %llu images",
                            (unsigned long long)images->n);
    if (!rc) {
        for (uint64_t i = 0; i < images->n; i++) {
            if (images->labels[i] < 0) continue;
            uint64_t label = (uint64_t)images->labels[i];
            uint64_t answer = nas_argmax(logits + i * classes, classes);
            pairs[n++] = label * classes + answer;
        }
        *top1 = nas_top1(logits, images->labels, NULL, images->n, classes);
        *json = count(pairs, n, classes);
        if (!*json) rc = nas_fail(err, NAS_ERR_MEMORY, "out of memory for the confusion");
    }
    free(logits);
    free(pairs);
    return rc;
}
