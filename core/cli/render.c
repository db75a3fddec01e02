#include "cli/render.h"

#include "base/json.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Values ---- */

json_t *nas_json_at(const json_t *json, const char *path) {
    char key[64];
    const json_t *at = json;
    while (at && *path) {
        size_t n = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, path);
        at = json_is_array(at) ? json_array_get(at, strtoul(key, NULL, 10))
                               : json_object_get(at, key);
        path += n + (path[n] == '.');
    }
    return (json_t *)(uintptr_t)at;
}

static double number(const json_t *value) {
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static uint64_t count(const json_t *value) {
    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : UINT64_MAX;
}

/* ---- Cells ---- */

/* Room that is used from the front. */
static void append(nas_cell *cell, const char *format, ...) NAS_PRINTF(2, 3);
static void append(nas_cell *cell, const char *format, ...) {
    size_t used = strlen(cell->text);
    va_list args;
    va_start(args, format);
    vsnprintf(cell->text + used, sizeof cell->text - used, format, args);
    va_end(args);
}

static nas_cell text_cell(const json_t *value) {
    nas_cell cell = {"-"};
    if (json_is_null(value)) return cell;
    char *text =
        json_is_string(value)
            ? NULL
            : nas_json_text(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6), NULL);
    const char *word = json_is_string(value) ? json_string_value(value) : text;
    if (json_is_object(value))
        snprintf(cell.text, sizeof cell.text, "{...}");
    else if (word)
        snprintf(cell.text, sizeof cell.text, "%.*s", (int)sizeof cell.text - 1, word);
    if (text && strlen(text) > 60 && !json_is_object(value)) snprintf(cell.text + 57, 4, "...");
    free(text);
    return cell;
}

static nas_cell genome_cell(const json_t *genome) {
    nas_cell cell = {""};
    size_t s, b;
    json_t *stage, *block;
    append(&cell, "r%lld", (long long)json_integer_value(json_object_get(genome, "resolution")));
    json_array_foreach(json_object_get(genome, "stages"), s, stage) {
        append(&cell, " %lld:", (long long)json_integer_value(json_object_get(stage, "width")));
        json_array_foreach(json_object_get(stage, "blocks"), b, block) {
            append(&cell, "%s%lldx%.6g", b ? "," : "",
                   (long long)json_integer_value(json_object_get(block, "kernel")),
                   json_number_value(json_object_get(block, "expand")));
        }
    }
    return cell;
}

static nas_cell limits_cell(const json_t *limits) {
    static const struct {
        const char *key, *word;
        nas_show as;
    } known[] = {
        {"latency_ms", "", NAS_SHOW_MS},         {"energy_mj", "", NAS_SHOW_MJ},
        {"peak_bytes", " peak", NAS_SHOW_BYTES}, {"flash_bytes", " flash", NAS_SHOW_BYTES},
        {"macs", " MACs", NAS_SHOW_COUNT},       {"params", " parameters", NAS_SHOW_COUNT}};
    nas_cell cell = {""};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const json_t *value = json_object_get(limits, known[i].key);
        if (!value) continue;
        append(&cell, "%s%s%s", *cell.text ? ", " : "", nas_show_cell(value, known[i].as).text,
               known[i].word);
    }
    return *cell.text ? cell : (nas_cell){"-"};
}

static nas_cell number_cell(double value) {
    nas_cell cell = {"-"};
    if (isfinite(value)) snprintf(cell.text, sizeof cell.text, "%.6g", value);
    return cell;
}

nas_cell nas_show_cell(const json_t *value, nas_show as) {
    if (!value) return (nas_cell){""};
    switch (as) {
    case NAS_SHOW_TEXT:
        break;
    case NAS_SHOW_NUMBER:
        return number_cell(number(value));
    case NAS_SHOW_MS:
        return nas_text_value(number(value), "ms");
    case NAS_SHOW_SECONDS:
        return nas_text_value(1000 * number(value), "ms");
    case NAS_SHOW_MJ:
        return nas_text_value(number(value), "mJ");
    case NAS_SHOW_COUNT:
        return nas_text_count(count(value));
    case NAS_SHOW_BYTES:
        return nas_text_bytes(count(value));
    case NAS_SHOW_PERCENT:
        return nas_text_percent(number(value));
    case NAS_SHOW_YES:
        if (json_is_true(value)) return (nas_cell){"yes"};
        return (nas_cell){"no"};
    case NAS_SHOW_GENOME:
        return genome_cell(value);
    case NAS_SHOW_LIMITS:
        return json_is_object(value) ? limits_cell(value) : text_cell(value);
    }
    return text_cell(value);
}

/* ---- Tables ---- */

int nas_render_table(const json_t *rows, const nas_column *columns, size_t n, nas_error *err) {
    nas_table table;
    size_t r;
    json_t *row;
    int rc = nas_table_create(json_array_size(rows) + 1, n, &table, err);
    if (rc) return rc;
    for (size_t c = 0; c < n; c++) {
        nas_cell *title = nas_table_at(&table, 0, c);
        snprintf(title->text, sizeof title->text, "%s", columns[c].title);
    }
    json_array_foreach(rows, r, row) {
        for (size_t c = 0; c < n; c++)
            *nas_table_at(&table, r + 1, c) =
                nas_show_cell(nas_json_at(row, columns[c].path), columns[c].as);
    }
    nas_table_print(&table, stdout);
    nas_table_free(&table);
    return NAS_OK;
}

/* ---- Objects ---- */

static void print_value(const char *key, const json_t *value) {
    if (json_is_string(value))
        printf("%-16s %s\n", key, json_string_value(value));
    else if (json_is_integer(value))
        printf("%-16s %lld\n", key, (long long)json_integer_value(value));
    else
        printf("%-16s %.4g\n", key, json_number_value(value));
}

/* Objects with the same keys, as a table. */
static void print_rows(const json_t *rows) {
    size_t i;
    json_t *row, *value;
    const char *key;
    putchar('\n');
    json_object_foreach(json_array_get(rows, 0), key, value) {
        printf("%16s", key);
    }
    putchar('\n');
    json_array_foreach(rows, i, row) {
        json_object_foreach(row, key, value) {
            if (json_is_string(value))
                printf("%16s", json_string_value(value));
            else
                printf("%16.4g", json_number_value(value));
        }
        putchar('\n');
    }
    putchar('\n');
}

void nas_render_object(const json_t *object) {
    const char *key, *inner;
    json_t *value, *part;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (json_is_array(value)) {
            print_rows(value);
        } else if (json_is_object(value)) {
            printf("%s:\n", key);
            json_object_foreach(value, inner, part) {
                print_value(inner, part);
            }
        } else {
            print_value(key, value);
        }
    }
}
