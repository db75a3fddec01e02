#include "c_text.h"

#include <string.h>

void nas_c_string(FILE *file, const char *text) {
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

void nas_c_float(FILE *file, float value) {
    char text[32];
    snprintf(text, sizeof text, "%.9g", (double)value);
    fprintf(file, "%s%sf", text, strpbrk(text, ".e") ? "" : ".0");
}

void nas_c_template(FILE *file, const char *text, const char *word) {
    fputc('\n', file);
    nas_c_line(file, text, word);
}

void nas_c_line(FILE *file, const char *text, const char *word) {
    for (; *text; text++)
        if (*text == '@')
            fputs(word, file);
        else
            fputc(*text, file);
}

int nas_c_byte_at(const void *values, uint64_t i) {
    return ((const int8_t *)values)[i];
}

int nas_c_int_at(const void *values, uint64_t i) {
    return ((const int32_t *)values)[i];
}

void nas_c_list(FILE *file, nas_c_at_fn at, const void *values, uint64_t n) {
    fputc('{', file);
    for (uint64_t i = 0; i < n; i++)
        fprintf(file, "%s%d", i % 16 ? ", " : i ? ",\n    " : "\n    ", at(values, i));
    fputs("};\n", file);
}
