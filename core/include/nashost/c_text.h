/* nashost plugin SDK: constants as C source, for exporters that write it. Header only. Every
 * function here: [any]. */
#ifndef NASHOST_C_TEXT_H
#define NASHOST_C_TEXT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A string literal of ASCII alone, which neither quotes nor trigraphs end early. */
static inline void nas_c_string(FILE *file, const char *text) {
    fputc('"', file);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c > '~' || strchr("\"\\?", c))
            fprintf(file, "\\%03o", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

/* A float; nine digits are enough to give it back, and "1" alone would be none. */
static inline void nas_c_float(FILE *file, float value) {
    char text[32];
    snprintf(text, sizeof text, "%.9g", (double)value);
    fprintf(file, "%s%sf", text, strpbrk(text, ".e") ? "" : ".0");
}

/* An empty line, and a text with a word in the place of every "@". */
static inline void nas_c_template(FILE *file, const char *text, const char *word) {
    fputc('\n', file);
    for (; *text; text++)
        if (*text == '@')
            fputs(word, file);
        else
            fputc(*text, file);
}

/* Element i of an array. */
typedef int (*nas_c_at_fn)(const void *values, uint64_t i);

static inline int nas_c_byte_at(const void *values, uint64_t i) {
    return ((const int8_t *)values)[i];
}

static inline int nas_c_int_at(const void *values, uint64_t i) {
    return ((const int32_t *)values)[i];
}

/* An array's n whole numbers, 16 to a line: "{...};" and the line's end. */
static inline void nas_c_list(FILE *file, nas_c_at_fn at, const void *values, uint64_t n) {
    fputc('{', file);
    for (uint64_t i = 0; i < n; i++)
        fprintf(file, "%s%d", i % 16 ? ", " : i ? ",\n    " : "\n    ", at(values, i));
    fputs("};\n", file);
}

#endif
