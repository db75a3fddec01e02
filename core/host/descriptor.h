/* The descriptor that a plugin exports, compared with what this host knows. */
#ifndef NAS_HOST_DESCRIPTOR_H
#define NAS_HOST_DESCRIPTOR_H

#include <nashost/plugin.h>

/* What a descriptor should say. */
typedef struct nas_expected {
    nas_kind kind;  /* 0: any kind */
    const char *id; /* NULL: any id that keeps the rules */
    const char *by; /* who expects them, such as "plugins.json" */
} nas_expected;

/* Compares magic, size, ABI, kind, id, texts, functions, option table and the kind's vtable, in
 * this order, and reads nothing beyond the sizes that the plugin declares. Runs no code of the
 * plugin. Messages name the field, expected and got, not the file. Fails with NAS_ERR_PLUGIN. [any]
 */
int nas_descriptor_check(const nas_plugin *plugin, const nas_expected *expected, nas_error *err);

/* True for [a-z][a-z0-9_-]* of at most 31 characters. */
bool nas_id_valid(const char *id);

/* "dataset", "ssl", "search", "hardware", "score", "export", "import", "cluster"; NULL / 0 if
 * unknown. */
const char *nas_kind_name(nas_kind kind);
nas_kind nas_kind_from_name(const char *name);

#endif
