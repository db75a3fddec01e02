#include "run/machine.h"

#include "base/json.h"
#include "base/version.h"
#include "nn/kernels.h"

#include <errno.h>
#include <nashost/plugin.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* The start of a file of /proc, which has no length; ends with a NUL beyond *n. Empty: there is no
 * such file; NULL: out of memory. */
static char *read_start(const char *path, size_t *n) {
    const size_t room = 1 << 16;
    char *text = calloc(1, room + 1);
    FILE *file = text ? fopen(path, "r") : NULL;
    *n = file ? fread(text, 1, room, file) : 0;
    if (file) fclose(file);
    if (file || !text || errno != ENOMEM) return text;
    free(text);
    return NULL;
}

static json_t *command(void) {
    size_t n = 0;
    char *text = read_start("/proc/self/cmdline", &n);
    json_t *words = text ? json_array() : NULL;
    for (size_t at = 0; at < n; at += strlen(text + at) + 1) {
        nas_json_add(&words, nas_text_json(text + at));
    }
    free(text);
    return words;
}

/* What the system calls its processor; null where it does not say, NULL: out of memory. */
static json_t *processor(void) {
    static const char key[] = "model name\t: ";
    size_t n = 0;
    char *text = read_start("/proc/cpuinfo", &n);
    const char *line = text ? strstr(text, key) : NULL,
               *start = line ? line + sizeof key - 1 : NULL;
    json_t *name = NULL;
    if (start) name = json_stringn(start, strcspn(start, "\n"));
    if (text && !start) name = json_null();
    free(text);
    return name;
}

static json_t *date(void) {
    char text[32];
    struct tm utc;
    time_t now = time(NULL);
    if (!gmtime_r(&now, &utc) || !strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &utc))
        return json_null();
    return json_string(text);
}

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

json_t *nas_machine_json(int threads) {
    struct utsname name;
    char system[sizeof name.sysname + sizeof name.release + sizeof name.machine + 3] = "?";
    if (uname(&name) == 0)
        snprintf(system, sizeof system, "%s %s %s", name.sysname, name.release, name.machine);
    return json_pack("{s:s, s:[i, i], s:s, s:s, s:o, s:I, s:i, s:s, s:o, s:o}", "version",
                     NASHOST_VERSION, "abi", NAS_ABI_MAJOR, NAS_ABI_MINOR, "compiler", COMPILER,
                     "system", system, "processor", processor(), "processors",
                     (json_int_t)sysconf(_SC_NPROCESSORS_ONLN), "threads", threads, "instructions",
                     nas_kernels_pick()->isa, "command", command(), "date", date());
}
