#include "host/descriptor.h"

#include "host/options.h"

#include <nashost/cluster.h>
#include <nashost/dataset.h>
#include <nashost/export.h>
#include <nashost/hardware.h>
#include <nashost/import.h>
#include <nashost/score.h>
#include <nashost/search.h>
#include <nashost/ssl.h>
#include <string.h>

/* A pointer in a structure that the first ABI had. */
typedef struct member {
    const char *name;
    size_t offset;
} member;

#define MEMBER(type, field)                                                                        \
    { #field, offsetof(type, field) }
#define MAX_MEMBERS 5

/* What the host knows of a kind: its name, and the functions that its vtable must have. */
static const struct kind {
    const char *name;
    member members[MAX_MEMBERS]; /* up to a NULL name */
} kinds[] = {
    [NAS_KIND_DATASET] = {"dataset",
                          {MEMBER(nas_dataset_api, info), MEMBER(nas_dataset_api, read)}},
    [NAS_KIND_SSL] = {"ssl", {MEMBER(nas_ssl_api, plan), MEMBER(nas_ssl_api, loss)}},
    [NAS_KIND_SEARCH] = {"search",
                         {MEMBER(nas_search_api, start), MEMBER(nas_search_api, ask),
                          MEMBER(nas_search_api, tell)}},
    [NAS_KIND_HARDWARE] = {"hardware", {MEMBER(nas_hardware_api, cost)}},
    [NAS_KIND_SCORE] = {"score", {MEMBER(nas_score_api, start), MEMBER(nas_score_api, score)}},
    [NAS_KIND_EXPORT] = {"export",
                         {MEMBER(nas_export_api, extension), MEMBER(nas_export_api, write)}},
    [NAS_KIND_IMPORT] = {"import",
                         {MEMBER(nas_import_api, recognise), MEMBER(nas_import_api, describe),
                          MEMBER(nas_import_api, locate)}},
    [NAS_KIND_CLUSTER] = {"cluster",
                          {MEMBER(nas_cluster_api, rank), MEMBER(nas_cluster_api, ranks),
                           MEMBER(nas_cluster_api, broadcast), MEMBER(nas_cluster_api, gather),
                           MEMBER(nas_cluster_api, abandon)}},
};

enum { KINDS = sizeof kinds / sizeof *kinds };

/* The descriptor's fields from `kind` on, in order. */
static const member fields[] = {
    MEMBER(nas_plugin, kind),      MEMBER(nas_plugin, id),          MEMBER(nas_plugin, version),
    MEMBER(nas_plugin, summary),   MEMBER(nas_plugin, license),     MEMBER(nas_plugin, source),
    MEMBER(nas_plugin, options),   MEMBER(nas_plugin, option_size), MEMBER(nas_plugin, config_size),
    MEMBER(nas_plugin, create),    MEMBER(nas_plugin, destroy),     MEMBER(nas_plugin, vtable),
    MEMBER(nas_plugin, extension),
};

static const size_t FIRST_ABI_SIZE =
    offsetof(nas_plugin, extension) + sizeof((nas_plugin *)0)->extension;

const char *nas_kind_name(nas_kind kind) {
    return (unsigned)kind < KINDS ? kinds[kind].name : NULL;
}

nas_kind nas_kind_from_name(const char *name) {
    for (unsigned i = 0; name && i < KINDS; i++)
        if (kinds[i].name && strcmp(kinds[i].name, name) == 0) return (nas_kind)i;
    return (nas_kind)0;
}

bool nas_id_valid(const char *id) {
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return n > 0 && n < 32 && !id[n] && id[0] >= 'a' && id[0] <= 'z';
}

static bool is_null(const void *structure, size_t offset) {
    void *pointer;
    memcpy(&pointer, (const char *)structure + offset, sizeof pointer);
    return !pointer;
}

/* Beyond this it is a mistake, such as a difference that went below 0. */
static const size_t MOST_CONFIG = (size_t)1 << 24;

static int check_config_size(const nas_plugin *plugin, nas_error *err) {
    if (plugin->config_size <= MOST_CONFIG) return NAS_OK;
    return nas_fail(err, NAS_ERR_PLUGIN, "config_size: expected at most %zu bytes, got %zu",
                    MOST_CONFIG, plugin->config_size);
}

static int check_header(const nas_plugin *plugin, nas_error *err) {
    if (plugin->magic != NAS_MAGIC)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "magic: expected 0x%08x, got 0x%08x; set it to NAS_MAGIC", NAS_MAGIC,
                        plugin->magic);
    if (plugin->size < FIRST_ABI_SIZE) {
        const char *missing = "abi_major";
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
            if (fields[i].offset <= plugin->size) missing = fields[i].name;
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "size: expected at least %zu bytes, got %u: the field \"%s\" is missing; "
                        "set it to sizeof(nas_plugin) and rebuild it with this host's headers",
                        FIRST_ABI_SIZE, plugin->size, missing);
    }
    if (plugin->abi_major == NAS_ABI_MAJOR) return NAS_OK;
    return nas_fail(err, NAS_ERR_PLUGIN, "ABI: expected major %d, got %u: it is for %s host; %s",
                    NAS_ABI_MAJOR, plugin->abi_major,
                    plugin->abi_major > NAS_ABI_MAJOR ? "a newer" : "an older",
                    plugin->abi_major > NAS_ABI_MAJOR
                        ? "use a newer nashost, or rebuild it with this host's headers"
                        : "rebuild it with this host's headers");
}

static int check_identity(const nas_plugin *plugin, const nas_expected *expected, nas_error *err) {
    const char *kind = nas_kind_name((nas_kind)plugin->kind);
    if (!kind)
        return nas_fail(err, NAS_ERR_PLUGIN, "kind: expected %d to %d, got %u", NAS_KIND_DATASET,
                        KINDS - 1, plugin->kind);
    if (expected->kind && (uint32_t)expected->kind != plugin->kind)
        return nas_fail(err, NAS_ERR_PLUGIN, "kind: expected %s (by %s), got %s",
                        nas_kind_name(expected->kind), expected->by, kind);
    if (!plugin->id || !nas_id_valid(plugin->id))
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "id: expected [a-z][a-z0-9_-]* of at most 31 characters, got %s%.60s%s",
                        plugin->id ? "\"" : "", plugin->id ? plugin->id : "NULL",
                        plugin->id ? "\"" : "");
    if (expected->id && strcmp(expected->id, plugin->id) != 0)
        return nas_fail(err, NAS_ERR_PLUGIN, "id: expected \"%s\" (by %s), got \"%s\"",
                        expected->id, expected->by, plugin->id);
    return NAS_OK;
}

static int check_pointers(const nas_plugin *plugin, nas_error *err) {
    static const member required[] = {
        MEMBER(nas_plugin, version), MEMBER(nas_plugin, summary), MEMBER(nas_plugin, license),
        MEMBER(nas_plugin, source),  MEMBER(nas_plugin, create),  MEMBER(nas_plugin, destroy),
        MEMBER(nas_plugin, vtable),
    };
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (is_null(plugin, required[i].offset))
            return nas_fail(err, NAS_ERR_PLUGIN, "%s: expected a pointer, got NULL",
                            required[i].name);
    return NAS_OK;
}

static int check_vtable(const nas_plugin *plugin, nas_error *err) {
    const struct kind *kind = &kinds[plugin->kind];
    uint32_t size = *(const uint32_t *)plugin->vtable;
    for (size_t i = 0; i < MAX_MEMBERS && kind->members[i].name; i++) {
        const member *m = &kind->members[i];
        if (m->offset + sizeof(void *) > size)
            return nas_fail(err, NAS_ERR_PLUGIN,
                            "vtable: size: expected at least %zu bytes, got %u: the field \"%s\" "
                            "is missing; set size to sizeof(nas_%s_api)",
                            m->offset + sizeof(void *), size, m->name, kind->name);
        if (is_null(plugin->vtable, m->offset))
            return nas_fail(err, NAS_ERR_PLUGIN, "vtable: %s: expected a pointer, got NULL",
                            m->name);
    }
    return NAS_OK;
}

int nas_descriptor_check(const nas_plugin *plugin, const nas_expected *expected, nas_error *err) {
    int rc = check_header(plugin, err);
    if (!rc) rc = check_identity(plugin, expected, err);
    if (!rc) rc = check_pointers(plugin, err);
    if (!rc) rc = check_config_size(plugin, err);
    if (!rc)
        rc = nas_options_check(plugin->options, plugin->option_size, plugin->config_size,
                               "option table", err);
    return rc ? rc : check_vtable(plugin, err);
}
