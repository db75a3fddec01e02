/* nashost plugin SDK: the descriptor that every plugin exports, and what the host gives it.
 *
 * A plugin is one shared object with one exported symbol, nas_plugin_entry(), which returns a
 * pointer to a constant descriptor and does nothing else. The host compares the descriptor with
 * what it knows before it runs any other code of the plugin.
 *
 * Rules for every function in the SDK:
 *  - It returns NAS_OK or another nas_status, and on failure fills the caller's nas_error.
 *  - Each side frees what it allocated; results go into buffers that the caller owns.
 *  - The comment ends with the thread it may run on: [main] the host's main thread only,
 *    [worker] any one thread at a time, [any] any thread, also several at once.
 *  - A plugin never exits, aborts, prints, or changes the process: floating-point mode, locale,
 *    signal handlers, working directory. Do not build one with -ffast-math.
 *  - Structures only grow at their end. A structure whose first field is `size` may be longer or
 *    shorter than yours: read a field only if NAS_HAS(ptr, field).
 */
#ifndef NASHOST_PLUGIN_H
#define NASHOST_PLUGIN_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define NAS_MAGIC 0x4853414eu /* "NASH" in memory on a little-endian machine */
#define NAS_ABI_MAJOR 1
#define NAS_ABI_MINOR 1

/* True if the structure that p points to is long enough to hold field. */
#define NAS_HAS(p, field)                                                                          \
    ((p)->size >= (size_t)((const char *)(&(p)->field + 1) - (const char *)(p)))

#if defined(__GNUC__)
#define NAS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define NAS_EXPORT __attribute__((visibility("default")))
#else
#define NAS_PRINTF(fmt, args)
#define NAS_EXPORT
#endif

typedef enum nas_status {
    NAS_OK = 0,
    NAS_ERR_INPUT = 1,       /* a file, key or value given by the user is wrong */
    NAS_ERR_IO = 2,          /* the system refused to read or write */
    NAS_ERR_MEMORY = 3,      /* out of memory */
    NAS_ERR_PLUGIN = 4,      /* a plugin cannot be used, or broke its contract */
    NAS_ERR_INFEASIBLE = 5,  /* no candidate meets the constraints within the budget */
    NAS_ERR_INTERRUPTED = 6, /* asked to stop; what was done so far is saved */
    NAS_ERR_NUMERIC = 7,     /* a value that must be finite is not */
} nas_status;

/* An error as a value. The message is one line: what, where, expected, found, what to do. */
typedef struct nas_error {
    int code; /* a nas_status */
    char message[1020];
} nas_error;

/* Fills *err (NULL: nothing) and returns code, so that a caller can `return nas_fail(...)`. [any]
 */
NAS_PRINTF(3, 4)
static inline int nas_fail(nas_error *err, int code, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        for (char *c = err->message; *c; c++)
            if ((unsigned char)*c < ' ') *c = ' '; /* a file's own words may hold others */
        err->code = code;
    }
    return code;
}

typedef enum nas_kind {
    NAS_KIND_DATASET = 1,  /* nashost/dataset.h  */
    NAS_KIND_SSL = 2,      /* nashost/ssl.h      */
    NAS_KIND_SEARCH = 3,   /* nashost/search.h   */
    NAS_KIND_HARDWARE = 4, /* nashost/hardware.h */
    NAS_KIND_SCORE = 5,    /* nashost/score.h    */
    NAS_KIND_EXPORT = 6,   /* nashost/export.h   */
    NAS_KIND_IMPORT = 7,   /* nashost/import.h   */
    NAS_KIND_CLUSTER = 8,  /* nashost/cluster.h  */
} nas_kind;

/* The C type of an option's field in the plugin's configuration structure. */
typedef enum nas_type {
    NAS_TYPE_BOOL = 1,    /* bool */
    NAS_TYPE_INT = 2,     /* int64_t */
    NAS_TYPE_FLOAT = 3,   /* double */
    NAS_TYPE_STRING = 4,  /* const char *; the host owns it and keeps it until after destroy */
    NAS_TYPE_PATH = 5,    /* const char *; made absolute against the pipeline file's folder */
    NAS_TYPE_ENUM = 6,    /* int; the index into choices */
    NAS_TYPE_STRINGS = 7, /* const char *const *; NULL-terminated, the host's as with strings */
} nas_type;

/* One option. The table ends with an entry whose name is NULL. */
typedef struct nas_option {
    const char *name;
    nas_type type;
    const char *fallback;       /* default value as JSON text, such as "0.95" or "\"ema\"";
                                   NULL: the option is required; "null": it may be left out, and
                                   is then false, 0, NaN, NULL or (enum) -1 */
    size_t offset;              /* of its field in the configuration structure */
    double min, max;            /* inclusive range of a number; both 0: no range */
    const char *unit;           /* "ms", "bytes", "steps", ...; NULL: none */
    const char *help;           /* one line */
    const char *const *choices; /* NAS_TYPE_ENUM: the allowed words, NULL-terminated; NAS_TYPE_INT:
                                   words that may stand for a number, the first for -1, the next
                                   for -2 and so on; NULL: none */
} nas_option;

/* Rows of a table of options, for a field of the structure `config`: name and fallback as above,
 * and the compiler warns if the field has not the option's C type.
 *
 *     static const nas_option options[] = {
 *         NAS_FLOAT("rate", my_config, rate, "0.1", 0, 1, NULL, "probability of a change"),
 *         NAS_ENUM("move", my_config, move, "\"best\"", moves, "which neighbour is taken"),
 *         {0},
 *     };
 */
#define NAS_INT(name, config, field, fallback, min, max, unit, help)                               \
    NAS_OPTION(name, INT, config, field, int64_t, fallback, min, max, unit, help, NULL)
/* An integer of at least 0, or one of some words, which are -1, -2, ... */
#define NAS_COUNT(name, config, field, fallback, min, max, unit, words, help)                      \
    NAS_OPTION(name, INT, config, field, int64_t, fallback, min, max, unit, help, words)
#define NAS_FLOAT(name, config, field, fallback, min, max, unit, help)                             \
    NAS_OPTION(name, FLOAT, config, field, double, fallback, min, max, unit, help, NULL)
#define NAS_BOOL(name, config, field, fallback, help)                                              \
    NAS_OPTION(name, BOOL, config, field, bool, fallback, 0, 0, NULL, help, NULL)
#define NAS_STRING(name, config, field, fallback, help)                                            \
    NAS_OPTION(name, STRING, config, field, const char *, fallback, 0, 0, NULL, help, NULL)
#define NAS_PATH(name, config, field, fallback, help)                                              \
    NAS_OPTION(name, PATH, config, field, const char *, fallback, 0, 0, NULL, help, NULL)
#define NAS_STRINGS(name, config, field, fallback, help)                                           \
    NAS_OPTION(name, STRINGS, config, field, const char *const *, fallback, 0, 0, NULL, help, NULL)
#define NAS_ENUM(name, config, field, fallback, choices, help)                                     \
    NAS_OPTION(name, ENUM, config, field, int, fallback, 0, 0, NULL, help, choices)
#define NAS_OPTION(name, type, config, field, c_type, fallback, min, max, unit, help, choices)     \
    {                                                                                              \
        name, NAS_TYPE_##type, fallback, NAS_OFFSET(config, field, c_type), min, max, unit, help,  \
            choices                                                                                \
    }
#define NAS_OFFSET(config, field, c_type)                                                          \
    (offsetof(config, field) + 0 * sizeof(&((config *)0)->field == (c_type *)0))

typedef enum nas_level { NAS_DEBUG = 0, NAS_INFO = 1, NAS_WARNING = 2 } nas_level;

/* What the host offers to one plugin instance. Valid until destroy returns. */
typedef struct nas_host {
    uint32_t size;
    void *impl; /* the host's own; do not touch */
    /* Writes one line to the run's log. [any] */
    void (*log)(const struct nas_host *host, nas_level level, const char *message);
    /* 64 random bits: a pure function of (run's seed, plugin id, stream, counter), the same on
     * every machine and thread. Keep the counter in your state. [any] */
    uint64_t (*random)(const struct nas_host *host, uint64_t stream, uint64_t counter);
    /* A table of further services by id, such as "nas.example/1"; NULL if unknown. [any] */
    const void *(*extension)(const struct nas_host *host, const char *id);
} nas_host;

/* What a plugin says of itself. */
typedef struct nas_plugin {
    uint32_t magic; /* NAS_MAGIC */
    uint32_t size;  /* sizeof(nas_plugin) when the plugin was built */
    uint16_t abi_major, abi_minor;
    uint32_t kind;  /* a nas_kind */
    const char *id; /* [a-z][a-z0-9_-]*, at most 31 characters, as in plugins.json */
    const char *version, *summary, *license;
    const char *source;        /* the paper or page that defines the method */
    const nas_option *options; /* NULL: none */
    size_t option_size;        /* sizeof(nas_option) when the plugin was built */
    size_t config_size;        /* size of the structure that options fill */
    /* Makes an instance. config lives until destroy returns. On failure *self stays NULL and
     * nothing is left behind. [main] */
    int (*create)(const nas_host *host, const void *config, void **self, nas_error *err);
    /* Frees an instance; NULL is allowed. [main] */
    void (*destroy)(void *self);
    /* The kind's structure, such as nas_dataset_api; its first field is its size. */
    const void *vtable;
    /* An instance's further abilities by id, such as NAS_EXT_STATE; NULL if it has none. self is
     * NULL for those that need no instance, such as NAS_EXT_RECOGNISE. The pointer itself may be
     * NULL. [any] */
    const void *(*extension)(void *self, const char *id);
} nas_plugin;

/* What is the same in every descriptor: which SDK it was built with. It stands first in a
 * nas_plugin's initialiser. */
#define NAS_DESCRIPTOR                                                                             \
    .magic = NAS_MAGIC, .size = sizeof(nas_plugin), .abi_major = NAS_ABI_MAJOR,                    \
    .abi_minor = NAS_ABI_MINOR, .option_size = sizeof(nas_option)

/* A create() for plugins that keep nothing but their options: the instance is the configuration,
 * which nobody writes to. [main] */
static inline int nas_plain_create(const nas_host *host, const void *config, void **self,
                                   nas_error *err) {
    (void)host, (void)err;
    *self = (void *)(uintptr_t)config;
    return NAS_OK;
}

/* Its destroy(). [main] */
static inline void nas_plain_destroy(void *self) {
    (void)self;
}

/* The exported symbol. Returns the address of a constant; does nothing else. */
#define NAS_ENTRY_SYMBOL "nas_plugin_entry"
NAS_EXPORT const nas_plugin *nas_plugin_entry(void);

/* Extension "nas.state/1": what an instance must keep so that an interrupted run goes on
 * bit-identically. */
#define NAS_EXT_STATE "nas.state/1"
typedef struct nas_state_api {
    uint32_t size;
    /* Bytes that save() writes now. [main] */
    size_t (*bytes)(void *self);
    /* Writes exactly bytes() bytes. [main] */
    int (*save)(void *self, void *buffer, nas_error *err);
    /* Restores what save() wrote; refuses a wrong length. [main] */
    int (*load)(void *self, const void *buffer, size_t bytes, nas_error *err);
} nas_state_api;

#endif
