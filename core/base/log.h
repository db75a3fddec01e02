/* A log of lines on a stream. */
#ifndef NAS_BASE_LOG_H
#define NAS_BASE_LOG_H

#include <nashost/plugin.h>

/* Where lines go. Not changed by logging, so threads may share it. */
typedef struct nas_log {
    FILE *stream;    /* NULL: every line is dropped. The caller owns it. */
    nas_level level; /* lines below it are dropped */
} nas_log;

/* Writes one line, led by "warning: " or "debug: " where that is its level, in one piece: lines of
 * several threads do not mix. Control characters become spaces; text beyond 1,200 bytes is cut,
 * shown by "...". log may be NULL. [any] */
NAS_PRINTF(3, 4) void nas_log_line(const nas_log *log, nas_level level, const char *format, ...);

#endif
