#include "named.h"

#include <nashost/files.h>
#include <nashost/kit/names.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROFILES "plugins/hardware/profiles"
#define ENDING ".json"

static const char *folder_of(const nas_host *host, uint32_t i) {
    const nas_files_service *files =
        host && host->extension ? host->extension(host, NAS_EXT_FILES) : NULL;
    return files ? files->folder(host, i) : NULL;
}

static int is_profile(const struct dirent *entry) {
    size_t n = strlen(entry->d_name), end = strlen(ENDING);
    return n > end && strcmp(entry->d_name + n - end, ENDING) == 0;
}

/* What there is, in words, and the one that is most like what was asked for. */
typedef struct known {
    char names[400], nearest[80];
} known;

static void add_names(const char *folder, const char *asked, known *all) {
    struct dirent **entries;
    int n = scandir(folder, &entries, is_profile, alphasort);
    for (int i = 0; i < n; i++) {
        size_t used = strlen(all->names);
        char name[sizeof all->nearest];
        const char *const both[] = {all->nearest, name};
        snprintf(name, sizeof name, "%.*s", (int)(strlen(entries[i]->d_name) - strlen(ENDING)),
                 entries[i]->d_name);
        snprintf(all->names + used, sizeof all->names - used, "%s%s", used ? ", " : "", name);
        if (nas_nearest(asked, both, 2) == name) snprintf(all->nearest, sizeof name, "%s", name);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
}

static bool join(char file[PATH_MAX], const char *folder, const char *name, const char *ending) {
    int n = snprintf(file, PATH_MAX, "%s/%s%s", folder, name, ending);
    return n > 0 && n < PATH_MAX;
}

int nas_roofline_find(const nas_host *host, const char *path, char file[PATH_MAX], nas_error *err) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *folder;
    char profiles[PATH_MAX];
    known all = {"", ""};
    if (access(path, F_OK) == 0) {
        snprintf(file, PATH_MAX, "%s", path);
        return NAS_OK;
    }
    for (uint32_t i = 0; (folder = folder_of(host, i)) != NULL; i++) {
        if (!join(profiles, folder, PROFILES, "")) continue;
        if (join(file, profiles, name, ENDING) && access(file, F_OK) == 0) return NAS_OK;
        add_names(profiles, name, &all);
    }
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: there is no such profile%s%s%s; expected a file, or the name of one that "
                    "comes with nashost: %s",
                    path, *all.nearest ? "; did you mean \"" : "", all.nearest,
                    *all.nearest ? "\"?" : "",
                    *all.names ? all.names : "there are none beside the manifests");
}
