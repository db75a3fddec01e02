#include "stages/page.h"

#include "base/embedded.h"
#include "base/file.h"

#include <errno.h>
#include <string.h>

/* Nothing in a string of the data may look like a tag to the browser, such as </script>; outside of
 * strings JSON has none of these characters. */
static int write_escaped(const char *text, size_t n, void *context) {
    FILE *file = context;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        int rc = strchr("<>&", c) && c ? fprintf(file, "\\u%04x", (unsigned)c) : fputc(c, file);
        if (rc < 0) return -1;
    }
    return 0;
}

/* A part by the name that stands at `name`; false: no such part, or it cannot be written. */
static bool write_part(const char *name, const json_t *data, FILE *file) {
    static const struct {
        const char *name, *file;
    } parts[] = {{"style}}", "core/stages/page/page.css"},
                 {"chart}}", "chart.js"},
                 {"script}}", "core/stages/page/page.js"}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strncmp(name, parts[i].name, strlen(parts[i].name)) == 0)
            return fputs(nas_embedded_text(parts[i].file), file) >= 0;
    return json_dump_callback(data, write_escaped, file,
                              JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6)) == 0;
}

static bool write_page(const json_t *data, FILE *file) {
    const char *at = nas_embedded_text("core/stages/page/page.html");
    for (const char *mark; (mark = strstr(at, "{{")) != NULL;) {
        if (fwrite(at, 1, (size_t)(mark - at), file) != (size_t)(mark - at)) return false;
        if (!write_part(mark + 2, data, file)) return false;
        at = strstr(mark, "}}") + 2;
    }
    return fputs(at, file) >= 0;
}

static int write_file(void *context, const char *temporary, nas_error *err) {
    FILE *file = fopen(temporary, "w");
    if (!file)
        return nas_fail(err, NAS_ERR_IO, "%s: cannot be opened: %s", temporary, strerror(errno));
    bool good = write_page(context, file);
    if (fclose(file) == 0 && good) return NAS_OK;
    return nas_fail(err, NAS_ERR_IO, "%s: cannot be written: %s", temporary, strerror(errno));
}

int nas_page_write(const char *path, const json_t *data, nas_error *err) {
    return nas_file_replace(path, write_file, (void *)(uintptr_t)data, err);
}
