/* A genome's genes stand in the order that space.h gives; every walk below follows it. */
#include "space/genome.h"

#include "space/keys.h"

#include <math.h>
#include <nashost/kit/json_file.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t deepest(const nas_stage *stage) {
    return stage->depth.value[stage->depth.n - 1];
}

/* The index of a stage's width gene; its depth follows, then its blocks. */
static uint32_t stage_gene(const nas_space *space, uint32_t stage) {
    uint32_t gene = 1;
    for (uint32_t s = 0; s < stage; s++) gene += 2 + 2 * deepest(&space->stages[s]);
    return gene;
}

nas_genome nas_genome_largest(const nas_space *space) {
    nas_genome genome = {0};
    for (uint32_t g = 0; g < space->n_genes; g++) genome.gene[g] = (uint16_t)(space->arity[g] - 1);
    return genome;
}

nas_genome nas_genome_smallest(const nas_space *space) {
    (void)space;
    return (nas_genome){0};
}

nas_genome nas_genome_random(const nas_space *space, uint32_t (*next)(void *context, uint32_t n),
                             void *context) {
    nas_genome genome = {0};
    genome.gene[0] = (uint16_t)next(context, space->arity[0]);
    for (uint32_t s = 0; s < space->n_stages; s++) {
        uint32_t g = stage_gene(space, s);
        genome.gene[g] = (uint16_t)next(context, space->arity[g]);
        genome.gene[g + 1] = (uint16_t)next(context, space->arity[g + 1]);
        uint32_t genes = 2 * space->stages[s].depth.value[genome.gene[g + 1]];
        for (uint32_t i = g + 2; i < g + 2 + genes; i++) {
            genome.gene[i] = (uint16_t)next(context, space->arity[i]);
        }
    }
    return genome;
}

void nas_genome_canonical(const nas_space *space, nas_genome *genome) {
    for (uint32_t s = 0; s < space->n_stages; s++) {
        const nas_stage *stage = &space->stages[s];
        uint32_t g = stage_gene(space, s);
        uint32_t depth = stage->depth.value[genome->gene[g + 1]];
        memset(&genome->gene[g + 2 + 2 * depth], 0,
               2 * (deepest(stage) - depth) * sizeof genome->gene[0]);
    }
    memset(&genome->gene[space->n_genes], 0,
           (NAS_MAX_GENES - space->n_genes) * sizeof genome->gene[0]);
}

bool nas_genome_equal(const nas_space *space, const nas_genome *a, const nas_genome *b) {
    nas_genome left = *a, right = *b;
    nas_genome_canonical(space, &left);
    nas_genome_canonical(space, &right);
    return memcmp(left.gene, right.gene, sizeof left.gene) == 0;
}

/* FNV-1a over the genes' bytes, low byte first. */
uint64_t nas_genome_hash(const nas_space *space, const nas_genome *genome) {
    nas_genome canonical = *genome;
    nas_genome_canonical(space, &canonical);
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint32_t g = 0; g < space->n_genes; g++) {
        hash = (hash ^ (canonical.gene[g] & 0xffu)) * 0x100000001b3u;
        hash = (hash ^ (uint64_t)(canonical.gene[g] >> 8)) * 0x100000001b3u;
    }
    return hash;
}

nas_arch nas_genome_decode(const nas_space *space, const nas_genome *genome) {
    nas_arch arch = {.resolution = space->resolution.value[genome->gene[0]]};
    for (uint32_t s = 0; s < space->n_stages; s++) {
        const nas_stage *stage = &space->stages[s];
        const uint16_t *gene = &genome->gene[stage_gene(space, s)];
        arch.width[s] = stage->width.value[gene[0]];
        arch.depth[s] = stage->depth.value[gene[1]];
        for (uint32_t b = 0; b < arch.depth[s]; b++) {
            arch.block[s][b].kernel = stage->kernel.of[b].value[gene[2 + 2 * b]];
            arch.block[s][b].expand = stage->expand.of[b].value[gene[3 + 2 * b]];
        }
    }
    return arch;
}

static json_t *stage_to_json(const nas_arch *arch, uint32_t s) {
    json_t *blocks = json_array();
    bool good = blocks != NULL;
    for (uint32_t b = 0; good && b < arch->depth[s]; b++) {
        json_t *block = json_pack("{s:i, s:o}", "kernel", (int)arch->block[s][b].kernel, "expand",
                                  nas_json_plain(arch->block[s][b].expand));
        good = json_array_append_new(blocks, block) == 0;
    }
    if (!good) {
        json_decref(blocks);
        return NULL;
    }
    return json_pack("{s:i, s:o}", "width", (int)arch->width[s], "blocks", blocks);
}

json_t *nas_genome_to_json(const nas_space *space, const nas_genome *genome) {
    nas_arch arch = nas_genome_decode(space, genome);
    json_t *stages = json_array();
    bool good = stages != NULL;
    for (uint32_t s = 0; good && s < space->n_stages; s++) {
        good = json_array_append_new(stages, stage_to_json(&arch, s)) == 0;
    }
    if (!good) {
        json_decref(stages);
        return NULL;
    }
    return json_pack("{s:i, s:o}", "resolution", (int)arch.resolution, "stages", stages);
}

/* Written by hand: a search wants it of thousands of subnets, and a tree of JSON takes longer than
 * all else that their costs need. */
static void write_genome(FILE *to, const nas_space *space, const nas_arch *arch) {
    fprintf(to, "{\"resolution\": %u, \"stages\": [", arch->resolution);
    for (uint32_t s = 0; s < space->n_stages; s++) {
        fprintf(to, "%s{\"width\": %u, \"blocks\": [", s ? ", " : "", arch->width[s]);
        for (uint32_t b = 0; b < arch->depth[s]; b++)
            fprintf(to, "%s{\"kernel\": %u, \"expand\": %.6g}", b ? ", " : "",
                    (unsigned)arch->block[s][b].kernel, arch->block[s][b].expand);
        fputs("]}", to);
    }
    fputs("]}", to);
}

char *nas_genome_text(const nas_space *space, const nas_genome *genome) {
    nas_arch arch = nas_genome_decode(space, genome);
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (!to) return NULL;
    write_genome(to, space, &arch);
    bool failed = ferror(to) != 0;
    if (fclose(to) == 0 && !failed) return text;
    free(text);
    return NULL;
}

/* Which values there are is the space's to say. */
static const nas_key block_keys[] = {
    {.name = "kernel", .form = NAS_KEY_INT, .min = 1, .max = NAS_MAX_KERNEL, .odd = true},
    {.name = "expand", .form = NAS_KEY_NUMBER, .low = 1, .high = NAS_MAX_EXPAND},
    {0},
};
static const nas_key stage_keys[] = {
    {.name = "width", .form = NAS_KEY_INT, .min = 1, .max = NAS_MAX_WIDTH},
    {.name = "blocks",
     .form = NAS_KEY_OBJECTS,
     .keys = block_keys,
     .least = 1,
     .most = NAS_MAX_DEPTH,
     .help = "the stage's blocks: as many entries as the stage is deep"},
    {0},
};
static const nas_key genome_keys[] = {
    {.name = "resolution",
     .form = NAS_KEY_INT,
     .min = NAS_MIN_RESOLUTION,
     .max = NAS_MAX_RESOLUTION},
    {.name = "stages",
     .form = NAS_KEY_OBJECTS,
     .keys = stage_keys,
     .least = 1,
     .most = NAS_MAX_STAGES,
     .help = "the choices of each stage of the space, in its order"},
    {0},
};

json_t *nas_genome_schema(void) {
    return nas_keys_schema(genome_keys);
}

/* "3, 5 or 7" */
static void list_choices(const nas_ratios *choices, char *text, size_t size) {
    size_t used = 0;
    for (uint32_t i = 0; i < choices->n && used < size; i++) {
        const char *mark = i == 0 ? "" : i + 1 == choices->n ? " or " : ", ";
        used += (size_t)snprintf(text + used, size - used, "%s%.6g", mark, choices->value[i]);
    }
}

static nas_ratios ratios_of(const nas_choices *choices) {
    nas_ratios ratios = {.n = choices->n};
    for (uint32_t i = 0; i < choices->n; i++) ratios.value[i] = choices->value[i];
    return ratios;
}

/* Finds value, which may have been rounded to 6 digits, among the choices. what precedes the list
 * in messages. */
static int find_choice(const nas_spot *at, const json_t *found, double value,
                       const nas_ratios *choices, const char *what, uint16_t *gene,
                       nas_error *err) {
    for (uint32_t i = 0; i < choices->n; i++) {
        if (fabs(value - choices->value[i]) <= 1e-5 * choices->value[i]) {
            *gene = (uint16_t)i;
            return NAS_OK;
        }
    }
    char list[100];
    list_choices(choices, list, sizeof list);
    return nas_spot_fail(at, found, err, "%s%s", what, list);
}

static int read_ratio(const nas_spot *spot, const json_t *object, const char *key,
                      const nas_ratios *choices, uint16_t *gene, nas_error *err) {
    const json_t *json = json_object_get(object, key);
    nas_spot at = nas_spot_key(spot, key);
    double value = json_is_number(json) ? json_number_value(json) : -1;
    return find_choice(&at, json, value, choices, "", gene, err);
}

static int read_gene(const nas_spot *spot, const json_t *object, const char *key,
                     const nas_choices *choices, uint16_t *gene, nas_error *err) {
    const json_t *json = json_object_get(object, key);
    nas_spot at = nas_spot_key(spot, key);
    nas_ratios whole = ratios_of(choices);
    double value = json_is_integer(json) ? (double)json_integer_value(json) : -1;
    return find_choice(&at, json, value, &whole, "", gene, err);
}

static int read_stage(const nas_spot *at, const json_t *json, const nas_stage *stage,
                      uint16_t *gene, nas_error *err) {
    const json_t *blocks;
    int rc = nas_keys_check(at, json, stage_keys, err);
    if (!rc) rc = read_gene(at, json, "width", &stage->width, &gene[0], err);
    if (!rc) rc = nas_field_array(at, json, "blocks", 1, NAS_MAX_DEPTH, &blocks, err);
    if (rc) return rc;
    size_t depth = json_array_size(blocks);
    nas_spot list = nas_spot_key(at, "blocks");
    nas_ratios depths = ratios_of(&stage->depth);
    rc = find_choice(&list, blocks, (double)depth, &depths,
                     "an array of one object per block, as many as ", &gene[1], err);
    for (size_t b = 0; b < depth && !rc; b++) {
        const json_t *block = json_array_get(blocks, b);
        nas_spot item = nas_spot_item(&list, b);
        rc = nas_keys_check(&item, block, block_keys, err);
        uint16_t *own = &gene[2 + 2 * b];
        if (!rc) rc = read_gene(&item, block, "kernel", &stage->kernel.of[b], &own[0], err);
        if (!rc) rc = read_ratio(&item, block, "expand", &stage->expand.of[b], &own[1], err);
    }
    return rc;
}

int nas_genome_from_json(const nas_space *space, const json_t *json, const char *where,
                         nas_genome *genome, nas_error *err) {
    nas_spot root = nas_spot_root(where);
    const json_t *stages;
    *genome = (nas_genome){0};
    int rc = nas_keys_check(&root, json, genome_keys, err);
    if (!rc) rc = read_gene(&root, json, "resolution", &space->resolution, &genome->gene[0], err);
    if (!rc) {
        rc = nas_field_array(&root, json, "stages", space->n_stages, space->n_stages, &stages, err);
    }
    nas_spot list = nas_spot_key(&root, "stages");
    for (uint32_t s = 0; !rc && s < space->n_stages; s++) {
        nas_spot item = nas_spot_item(&list, s);
        rc = read_stage(&item, json_array_get(stages, s), &space->stages[s],
                        &genome->gene[stage_gene(space, s)], err);
    }
    return rc;
}

/* Appends to a text that may be cut. */
NAS_PRINTF(4, 5)
static void append(char *buffer, size_t size, size_t *used, const char *format, ...) {
    if (*used >= size) return;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(buffer + *used, size - *used, format, args);
    va_end(args);
    if (n > 0) *used += (size_t)n;
}

char *nas_genome_short(const nas_space *space, const nas_genome *genome, char *buffer,
                       size_t size) {
    nas_arch arch = nas_genome_decode(space, genome);
    size_t used = 0;
    append(buffer, size, &used, "r%u", arch.resolution);
    for (uint32_t s = 0; s < space->n_stages; s++) {
        append(buffer, size, &used, " %u:", arch.width[s]);
        for (uint32_t b = 0; b < arch.depth[s]; b++) {
            append(buffer, size, &used, "%s%ux%.6g", b ? "," : "", arch.block[s][b].kernel,
                   arch.block[s][b].expand);
        }
    }
    return buffer;
}
