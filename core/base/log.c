#include "base/log.h"

#include <string.h>

enum { MAX_LINE = 1200 };

static const char *prefix(nas_level level) {
    if (level >= NAS_WARNING) return "warning: ";
    return level == NAS_DEBUG ? "debug: " : "";
}

/* Those of ASCII, and those beyond it (C1) in UTF-8: a line may end in a terminal. */
static void blank_controls(char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i], next = i + 1 < n ? (unsigned char)text[i + 1] : 0;
        if (c < ' ' || c == 0x7f) text[i] = ' ';
        if (c == 0xc2 && next >= 0x80 && next < 0xa0) text[i] = text[i + 1] = ' ';
    }
}

void nas_log_line(const nas_log *log, nas_level level, const char *format, ...) {
    if (!log || !log->stream || level < log->level) return;
    char line[MAX_LINE + 2]; /* and the line's end */
    size_t start = strlen(strcpy(line, prefix(level)));
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(line + start, MAX_LINE + 1 - start, format, args);
    va_end(args);
    if (wanted < 0) return;
    size_t length = start + (size_t)wanted;
    if (length > MAX_LINE) {
        length = MAX_LINE;
        memcpy(line + length - 3, "...", 3);
    }
    blank_controls(line + start, length - start);
    line[length++] = '\n';
    fwrite(line, 1, length, log->stream);
    fflush(log->stream);
}
