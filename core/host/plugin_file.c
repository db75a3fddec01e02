#include "host/plugin_file.h"

#include "host/elf_file.h"
#include "host/process.h"
#include "host/trial.h"

#include <dlfcn.h>
#include <string.h>

enum { LOAD_SECONDS = 10 }; /* what a constructor may take on a slow disk */

typedef const nas_plugin *(*entry_fn)(void);

/* What to do about the dynamic linker's complaint. */
static const char *advice(const char *why) {
    if (strstr(why, "undefined symbol"))
        return "; link the library that has it into the plugin (ldd -r FILE lists what is missing)";
    if (strstr(why, "cannot open shared object file"))
        return "; install the library that it needs (ldd FILE lists what is missing)";
    return "";
}

/* dlerror() names the file first, as our own message does. */
static const char *without_path(const char *why, const char *path) {
    size_t n = strlen(path);
    return strncmp(why, path, n) == 0 && strncmp(why + n, ": ", 2) == 0 ? why + n + 2 : why;
}

static int call_entry(void *handle, const nas_plugin **plugin, nas_error *err) {
    void *symbol = dlsym(handle, NAS_ENTRY_SYMBOL);
    if (!symbol)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "no symbol \"%s\": expected the function that returns the descriptor; "
                        "define it, and mark it NAS_EXPORT if you build with -fvisibility=hidden",
                        NAS_ENTRY_SYMBOL);
    entry_fn entry;
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from void * to a function */
    *plugin = entry();
    if (*plugin) return NAS_OK;
    return nas_fail(err, NAS_ERR_PLUGIN, "%s() returned NULL; expected a descriptor",
                    NAS_ENTRY_SYMBOL);
}

static int map_and_enter(const char *path, void **handle, const nas_plugin **plugin,
                         nas_error *err) {
    nas_process process;
    nas_process_save(&process);
    *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const char *why = *handle ? NULL : dlerror();
    int rc =
        *handle ? call_entry(*handle, plugin, err)
                : nas_fail(err, NAS_ERR_PLUGIN, "%s%s",
                           why ? without_path(why, path) : "dlopen failed", why ? advice(why) : "");
    int changed = nas_process_restore(&process, "loading it", rc ? NULL : err);
    nas_process_free(&process);
    return rc ? rc : changed;
}

typedef struct attempt {
    const char *path;
    const nas_expected *expected;
} attempt;

static int try_in_child(void *context, nas_trial *trial) {
    const attempt *a = context;
    const nas_plugin *found = NULL;
    void *handle = NULL;
    nas_trial_doing(trial, "loading it");
    int rc = map_and_enter(a->path, &handle, &found, &trial->err);
    nas_trial_doing(trial, "checking its descriptor");
    return rc ? rc : nas_descriptor_check(found, a->expected, &trial->err);
}

int nas_plugin_open(const char *path, const nas_expected *expected, const nas_plugin **plugin,
                    nas_error *err) {
    nas_error why = {0};
    const nas_plugin *found = NULL;
    void *handle = NULL;
    bool ran;
    int rc = nas_elf_check(path, &why);
    if (!rc) rc = nas_trial_run(try_in_child, &(attempt){path, expected}, LOAD_SECONDS, &ran, &why);
    if (!rc) rc = map_and_enter(path, &handle, &found, &why);
    if (!rc) rc = nas_descriptor_check(found, expected, &why);
    if (!rc) {
        *plugin = found;
        return NAS_OK;
    }
    if (handle) dlclose(handle);
    return nas_fail(err, rc, "%s: %s%s%s%s", path, expected->id ? "plugin \"" : "",
                    expected->id ? expected->id : "", expected->id ? "\": " : "", why.message);
}
