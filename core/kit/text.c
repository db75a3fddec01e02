#include <nashost/kit/text.h>

#include <stdlib.h>
#include <string.h>

enum { FIRST = 256 };

static bool reserve(nas_text *text, size_t n) {
    size_t needed, capacity = text->capacity ? text->capacity : FIRST;
    if (__builtin_add_overflow(text->bytes, n, &needed) || needed >= SIZE_MAX / 2) return false;
    if (needed < text->capacity) return true;
    while (capacity <= needed) capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (!data) return false;
    text->data = data;
    text->capacity = capacity;
    return true;
}

void nas_text_add(nas_text *text, const void *data, size_t n) {
    text->failed = text->failed || !reserve(text, n);
    if (text->failed) return;
    if (n) memcpy(text->data + text->bytes, data, n);
    text->bytes += n;
    text->data[text->bytes] = 0;
}

void nas_text_put(nas_text *text, const char *string) {
    nas_text_add(text, string, strlen(string));
}

char *nas_text_take(nas_text *text) {
    nas_text_add(text, "", 0); /* an empty text is one, too */
    char *data = text->failed ? NULL : text->data;
    if (!data) free(text->data);
    *text = (nas_text){0};
    return data;
}

void nas_text_free(nas_text *text) {
    free(text->data);
    *text = (nas_text){0};
}
