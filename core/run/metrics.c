#include "run/metrics.h"

#include "base/file.h"
#include "base/json.h"
#include "run/candidate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_BYTES = 1 << 30 };

void nas_metrics_add(nas_metrics *metrics, const nas_ssl_batch *batch, const nas_ssl_result *result,
                     const int32_t *hidden_labels) {
    metrics->subnets++;
    metrics->loss += result->loss;
    metrics->labelled += result->labelled_loss;
    metrics->unlabelled += result->unlabelled_loss;
    metrics->rows += batch->unlabelled;
    for (uint32_t i = 0; i < batch->unlabelled; i++) {
        if (!(result->weights[i] > 0)) continue;
        metrics->used++;
        if (!hidden_labels || hidden_labels[i] < 0) continue;
        metrics->judged++;
        metrics->right += hidden_labels[i] == result->pseudo_labels[i];
    }
    metrics->n_values = result->n_metrics;
    for (uint32_t i = 0; i < result->n_metrics; i++) {
        metrics->names[i] = result->metrics[i].name;
        metrics->values[i] += result->metrics[i].value;
    }
}

static double ratio(double a, uint64_t b) {
    return b ? a / (double)b : (double)NAN;
}

double nas_metrics_mask_rate(const nas_metrics *metrics) {
    return ratio((double)metrics->used, metrics->rows);
}

json_t *nas_metrics_json(const nas_metrics *m, uint64_t step, double seconds, double interval,
                         double lr) {
    json_t *json = json_pack(
        "{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "step", (json_int_t)step, "seconds",
        nas_number_json(seconds), "loss", nas_number_json(ratio(m->loss, m->subnets)),
        "labelled_loss", nas_number_json(ratio(m->labelled, m->subnets)), "unlabelled_loss",
        nas_number_json(ratio(m->unlabelled, m->subnets)), "mask_rate",
        nas_number_json(nas_metrics_mask_rate(m)), "pseudo_label_accuracy",
        nas_number_json(ratio((double)m->right, m->judged)), "lr", nas_number_json(lr),
        "images_per_s", nas_number_json((double)m->images / interval));
    if (!json || !m->n_values) return json;
    json_t *ssl = json_object();
    for (uint32_t i = 0; i < m->n_values; i++)
        nas_json_put(&ssl, m->names[i], nas_number_json(ratio(m->values[i], m->subnets)));
    nas_json_put(&json, "ssl", ssl);
    return json;
}

json_t *nas_metrics_state(const nas_metrics *m) {
    json_t *values = json_array();
    for (uint32_t i = 0; i < m->n_values; i++) nas_json_add(&values, json_real(m->values[i]));
    return json_pack("{s:I, s:[f, f, f], s:[I, I, I, I], s:I, s:o}", "subnets",
                     (json_int_t)m->subnets, "losses", m->loss, m->labelled, m->unlabelled, "rows",
                     (json_int_t)m->rows, (json_int_t)m->used, (json_int_t)m->judged,
                     (json_int_t)m->right, "images", (json_int_t)m->images, "values", values);
}

bool nas_metrics_restore(const json_t *json, nas_metrics *m) {
    json_int_t counts[6];
    json_t *values;
    *m = (nas_metrics){0};
    if (json_unpack((json_t *)(uintptr_t)json, "{s:I, s:[F, F, F], s:[I, I, I, I], s:I, s:o}",
                    "subnets", &counts[0], "losses", &m->loss, &m->labelled, &m->unlabelled, "rows",
                    &counts[1], &counts[2], &counts[3], &counts[4], "images", &counts[5], "values",
                    &values))
        return false;
    for (int i = 0; i < 6; i++)
        if (counts[i] < 0) return false;
    if (!json_is_array(values) || json_array_size(values) > NAS_SSL_MAX_METRICS) return false;
    m->subnets = (uint64_t)counts[0], m->rows = (uint64_t)counts[1], m->used = (uint64_t)counts[2];
    m->judged = (uint64_t)counts[3], m->right = (uint64_t)counts[4];
    m->images = (uint64_t)counts[5];
    m->n_values = (uint32_t)json_array_size(values);
    for (uint32_t i = 0; i < m->n_values; i++) {
        m->names[i] = "?"; /* until the loss says it again */
        m->values[i] = json_number_value(json_array_get(values, i));
    }
    return isfinite(m->loss) && isfinite(m->labelled) && isfinite(m->unlabelled);
}

/* Cuts a file of JSON lines before the first that is beyond last_step, or that is not whole. */
static int trim(const char *path, uint64_t last_step, nas_error *err) {
    char *data = NULL;
    size_t bytes = 0, kept = 0;
    int rc = nas_file_read(path, MAX_BYTES, &data, &bytes, err);
    if (rc) return rc;
    for (char *end; (end = memchr(data + kept, '\n', bytes - kept)) != NULL;) {
        json_t *line;
        rc = nas_json_parse(data + kept, (size_t)(end - data) - kept, 0, path, &line, err);
        if (rc == NAS_ERR_MEMORY) break;
        rc = NAS_OK; /* what is no line of ours is cut, with what follows it */
        const json_t *step = json_object_get(line, "step");
        bool keep = json_is_integer(step) && (uint64_t)json_integer_value(step) <= last_step &&
                    !json_object_get(line, "validation_top1");
        json_decref(line);
        if (!keep) break;
        kept = (size_t)(end + 1 - data);
    }
    if (!rc && kept < bytes) rc = nas_file_write(path, data, kept, err);
    free(data);
    return rc;
}

int nas_jsonl_open(const char *path, uint64_t last_step, nas_jsonl *jsonl, nas_error *err) {
    *jsonl = (nas_jsonl){.path = path};
    if (nas_file_exists(path)) {
        int rc = trim(path, last_step, err);
        if (rc) return rc;
    }
    return nas_file_open_append(path, &jsonl->file, err);
}

int nas_jsonl_write(nas_jsonl *jsonl, json_t *json, nas_error *err) {
    if (!json) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", jsonl->path);
    size_t bytes = 0;
    char *line = nas_json_text(json, 0, &bytes);
    json_decref(json);
    if (!line) return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", jsonl->path);
    line[bytes] = '\n'; /* where its NUL was */
    int rc = nas_file_append(jsonl->file, jsonl->path, line, bytes + 1, err);
    free(line);
    return rc;
}

void nas_jsonl_close(nas_jsonl *jsonl) {
    if (jsonl->file > 0) close(jsonl->file);
    jsonl->file = 0;
}
