#include "stages/page.h"

#include "base/embedded.h"
#include "base/file.h"
#include "base/json.h"

#include <nashost/kit/text.h>
#include <stdlib.h>
#include <string.h>

/* Nothing in a string of the data may look like a tag to the browser, such as </script>; outside of
 * strings JSON has none of these characters. */
static void add_escaped(nas_text *page, const char *text) {
    while (*text) {
        size_t n = strcspn(text, "<>&");
        nas_text_add(page, text, n);
        text += n;
        if (!*text) break;
        char escape[12];
        snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)*text++);
        nas_text_put(page, escape);
    }
}

static void add_data(nas_text *page, const json_t *data) {
    char *text =
        nas_json_text(data, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(6), NULL);
    if (text) add_escaped(page, text);
    page->failed = page->failed || !text;
    free(text);
}

/* A part by the name that stands at `name`. */
static void add_part(nas_text *page, const char *name, const json_t *data) {
    static const struct {
        const char *name, *file;
    } parts[] = {{"style}}", "core/stages/page/page.css"},
                 {"chart}}", "chart.js"},
                 {"script}}", "core/stages/page/page.js"}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strncmp(name, parts[i].name, strlen(parts[i].name)) == 0) {
            nas_text_put(page, nas_embedded_text(parts[i].file));
            return;
        }
    add_data(page, data);
}

int nas_page_write(const char *path, const json_t *data, nas_error *err) {
    nas_text page = {0};
    const char *at = nas_embedded_text("core/stages/page/page.html");
    for (const char *mark; (mark = strstr(at, "{{")) != NULL;) {
        nas_text_add(&page, at, (size_t)(mark - at));
        add_part(&page, mark + 2, data);
        at = strstr(mark, "}}") + 2;
    }
    nas_text_put(&page, at);
    int rc = page.failed ? nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", path)
                         : nas_file_write(path, page.data, page.bytes, err);
    nas_text_free(&page);
    return rc;
}
