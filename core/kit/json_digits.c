#include <nashost/kit/json_file.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Jansson writes reals with a point or an exponent, and 17 digits where these say it exactly. */
static size_t number_length(const char *text) {
    return strspn(text, "+-0123456789.eE");
}

/* Writes the number in text [n] with as few digits as give it back, and returns how many characters
 * these are; where that is no shorter, those of text. to may overlap it from the left. */
static size_t shorten(const char *text, size_t n, char *to) {
    char found[40], as_is[40];
    if (n < sizeof as_is && memchr(text, '.', n)) {
        memcpy(as_is, text, n);
        as_is[n] = 0;
        double value = strtod(as_is, NULL);
        for (int digits = 15; digits < 17; digits++) {
            snprintf(found, sizeof found, "%.*g", digits, value);
            if (strtod(found, NULL) != value) continue;
            if (!strpbrk(found, ".e")) strcat(found, ".0");
            size_t length = strlen(found);
            if (length >= n) break;
            memcpy(to, found, length);
            return length;
        }
    }
    memmove(to, text, n);
    return n;
}

/* The length of a string's text, with its quotes. */
static size_t string_length(const char *text) {
    size_t n = 1;
    while (text[n] != '"') n += text[n] == '\\' ? 2 : 1;
    return n + 1;
}

size_t nas_json_shorten(char *text) {
    char *to = text;
    for (const char *from = text; *from;) {
        size_t n = *from == '"' ? string_length(from) : number_length(from);
        bool number = n && *from != '"' && (*from == '-' || (*from >= '0' && *from <= '9'));
        if (!n || (*from != '"' && !number)) n = 1;
        if (number) {
            to += shorten(from, n, to);
        } else {
            memmove(to, from, n);
            to += n;
        }
        from += n;
    }
    *to = 0;
    return (size_t)(to - text);
}
