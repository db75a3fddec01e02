/* One small plugin in many variants, most of them broken on purpose: tests/plugins.mk builds
 * each with other -D flags. No function of its vtable is ever called. */
#include <fenv.h>
#include <locale.h>
#include <nashost/plugin.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#ifndef MAGIC
#define MAGIC NAS_MAGIC
#endif
#ifndef SIZE
#define SIZE sizeof(nas_plugin)
#endif
#ifndef MAJOR
#define MAJOR NAS_ABI_MAJOR
#endif
#ifndef KIND
#define KIND NAS_KIND_SSL
#endif
#ifndef ID
#define ID "sample"
#endif
#ifndef OFFSET
#define OFFSET offsetof(config, level)
#endif
#ifndef FALLBACK
#define FALLBACK "3"
#endif
#ifndef VERSION
#define VERSION "1.2.3"
#endif
#ifndef FUNCTION
#define FUNCTION nothing
#endif
#ifndef VTABLE_SIZE
#define VTABLE_SIZE sizeof(vtable)
#endif
#ifndef DESCRIPTOR
#define DESCRIPTOR &plugin
#endif
#ifndef ENTRY
#define ENTRY nas_plugin_entry
#endif

typedef struct config {
    int64_t level;
    const char *file, *name;
    int mode;
} config;

#ifdef MORE_OPTIONS
static const char *const modes[] = {"fast", "slow", NULL};
#endif

static const nas_option options[] = {
    {"level", NAS_TYPE_INT, FALLBACK, OFFSET, 1, 9, NULL, "a number", NULL},
    NAS_PATH("file", config, file, "null", "a file"),
#ifdef MORE_OPTIONS
    NAS_ENUM("mode", config, mode, "\"slow\"", modes, "a mode"),
    NAS_STRING("name", config, name, NULL, "a name"),
#endif
    {0},
};

#ifdef UNDEFINED
double nas_test_no_such_function(double);
#endif

#ifdef ROUNDING
__attribute__((constructor)) static void round_up(void) {
    fesetround(FE_UPWARD);
}
#endif

#ifdef SIGNAL
__attribute__((constructor)) static void take_signal(void) {
    signal(SIGUSR1, SIG_IGN);
}
#endif

typedef struct sample {
    const nas_host *host;
    int64_t level;
    uint64_t numbers[2];
} sample;

static int create(const nas_host *host, const void *settings, void **self, nas_error *err) {
    const config *c = settings;
#ifdef FAIL
    (void)host, (void)self;
    return nas_fail(err, NAS_ERR_IO, "the level %d is not to my liking", (int)c->level);
#elif defined(FAIL_SILENTLY)
    (void)host, (void)self, (void)err, (void)c;
    return -77;
#else
    sample *me = calloc(1, sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    *me = (sample){.host = host, .level = c->level};
#ifdef UNDEFINED
    me->level = (int64_t)nas_test_no_such_function(0);
#endif
#ifdef CREATE_LOCALE
    setlocale(LC_ALL, "C.UTF-8");
#endif
    host->log(host, NAS_INFO, "made");
    *self = me;
    return NAS_OK;
#endif
}

static void destroy(void *self) {
    free(self);
}

/* "sample.random/1": two numbers of the host's generator. */
static const void *extension(void *self, const char *id) {
    sample *me = self;
    if (strcmp(id, "sample.random/1") != 0) return NULL;
    me->numbers[0] = me->host->random(me->host, 1, 0);
    me->numbers[1] = me->host->random(me->host, 1, 1);
    return me->numbers;
}

static int nothing(void) {
    return NAS_OK;
}

/* The functions of every kind come first in its table, after the size. */
static const struct vtable {
    uint32_t size;
    int (*functions[3])(void);
} vtable = {VTABLE_SIZE, {nothing, FUNCTION, nothing}};

static const nas_plugin plugin = {
    .magic = MAGIC,
    .size = SIZE,
    .abi_major = MAJOR,
    .abi_minor = NAS_ABI_MINOR,
    .kind = KIND,
    .id = ID,
    .version = VERSION,
    .summary = "a plugin for tests",
    .license = "Apache-2.0",
    .source = "tests/bad_plugins/sample.c",
    .options = options,
    .option_size = sizeof(nas_option),
    .config_size = sizeof(config),
    .create = create,
    .destroy = destroy,
    .vtable = &vtable,
    .extension = extension,
};

NAS_EXPORT const nas_plugin *ENTRY(void);
const nas_plugin *ENTRY(void) {
    return (DESCRIPTOR);
}
