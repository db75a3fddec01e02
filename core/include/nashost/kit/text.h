/* nashost plugin kit: text in the making. The first failure sticks, so that a writer tests its
 * result once, at the end. Every function here: [any]. */
#ifndef NASHOST_KIT_TEXT_H
#define NASHOST_KIT_TEXT_H

#include <nashost/plugin.h>

/* Zeroed: empty. */
typedef struct nas_text {
    char *data; /* [bytes], and a NUL behind; the owner frees it; NULL: nothing was added */
    size_t bytes, capacity;
    bool failed; /* there was no memory: data lacks something, and nothing more is added */
} nas_text;

/* Adds n bytes behind the text, or a string. */
void nas_text_add(nas_text *text, const void *data, size_t n);
void nas_text_put(nas_text *text, const char *string);

/* The whole text, which the caller frees; NULL: out of memory. *text is empty then. */
char *nas_text_take(nas_text *text);

/* Frees what was added; zeroed is fine. */
void nas_text_free(nas_text *text);

#endif
