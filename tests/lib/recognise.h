/* Asks the data set plugin whose source a test includes whether it recognises a folder. */
#ifndef NAS_TESTS_RECOGNISE_H
#define NAS_TESTS_RECOGNISE_H

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The options that it would read the folder by; NULL: it does not recognise it. */
static inline json_t *recognise(const char *folder) {
    static nas_recognised found;
    nas_error err = {0};
    const nas_recognise_api *look = plugin.extension(NULL, NAS_EXT_RECOGNISE);
    assert_null(plugin.extension(NULL, "nas.other/1"));
    found = (nas_recognised){.size = sizeof found};
    if (look->look(folder, &found, &err)) fail_msg("%s", err.message);
    if (!found.yes) return NULL;
    json_t *given = json_loads(found.options, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(given);
    return given;
}

/* Fails unless the folder is recognised, with these options: JSON text with ' for ", in which @
 * stands for the folder. */
static inline void recognised(const char *folder, const char *expected) {
    char text[8192] = "";
    for (; *expected; expected++) {
        size_t used = strlen(text);
        if (*expected == '@')
            snprintf(text + used, sizeof text - used, "%s", folder);
        else
            snprintf(text + used, sizeof text - used, "%c", *expected == '\'' ? '"' : *expected);
    }
    json_t *wanted = json_loads(text, 0, NULL), *given = recognise(folder);
    assert_non_null(wanted);
    assert_non_null(given);
    char *got = json_dumps(given, 0);
    if (!json_equal(wanted, given)) fail_msg("expected %s, found %s", text, got);
    free(got);
    json_decref(wanted);
    json_decref(given);
}

#endif
