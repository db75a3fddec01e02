#include "host/process.h"

#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <xmmintrin.h>

enum { MXCSR_FLAGS = 0x3f }; /* exceptions seen so far: no mode */

static uint64_t get_float_mode(void) {
    return _mm_getcsr() & ~(unsigned)MXCSR_FLAGS;
}

static void set_float_mode(uint64_t mode) {
    _mm_setcsr((unsigned)mode | (_mm_getcsr() & MXCSR_FLAGS));
}
#elif defined(__aarch64__)
static uint64_t get_float_mode(void) {
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}

static void set_float_mode(uint64_t mode) {
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}
#else
#include <fenv.h>

static uint64_t get_float_mode(void) {
    return (uint64_t)fegetround();
}

static void set_float_mode(uint64_t mode) {
    fesetround((int)mode);
}
#endif

/* There is no call that only looks. No other thread makes files while a plugin is called. */
static mode_t get_mask(void) {
    mode_t mask = umask(077);
    umask(mask);
    return mask;
}

/* Whether the working directory can be seen, and which it is. */
static bool get_folder(dev_t *device, ino_t *folder) {
    struct stat status;
    if (stat(".", &status)) return false;
    *device = status.st_dev;
    *folder = status.st_ino;
    return true;
}

void nas_process_save(nas_process *process) {
    memset(process, 0, sizeof *process);
    process->float_mode = get_float_mode();
    const char *locale = setlocale(LC_ALL, NULL);
    if (locale && strlen(locale) < sizeof process->locale) strcpy(process->locale, locale);
    process->mask = get_mask();
    get_folder(&process->device, &process->folder);
    process->directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (int number = 1; number < NAS_SIGNALS; number++)
        if (sigaction(number, NULL, &process->actions[number]))
            process->actions[number].sa_handler = SIG_ERR;
}

void nas_process_free(nas_process *process) {
    if (process->directory > 0) close(process->directory);
    process->directory = -1;
}

/* The number of a signal whose handler changed, now put back; 0: none. */
static int restore_signals(const nas_process *process) {
    int changed = 0;
    for (int number = 1; number < NAS_SIGNALS; number++) {
        const struct sigaction *before = &process->actions[number];
        struct sigaction now;
        if (before->sa_handler == SIG_ERR || sigaction(number, NULL, &now)) continue;
        if (now.sa_handler == before->sa_handler && now.sa_flags == before->sa_flags) continue;
        sigaction(number, before, NULL);
        changed = number;
    }
    return changed;
}

static int restore_float_mode(const nas_process *process, const char *what, nas_error *err) {
    uint64_t mode = get_float_mode();
    if (mode == process->float_mode) return NAS_OK;
    set_float_mode(process->float_mode);
    return nas_fail(err, NAS_ERR_PLUGIN,
                    "%s changed the floating-point mode: expected control bits 0x%llx, got 0x%llx, "
                    "as code built with -ffast-math does (it flushes small numbers to zero); build "
                    "it without -ffast-math, -Ofast and -funsafe-math-optimizations",
                    what, (unsigned long long)process->float_mode, (unsigned long long)mode);
}

static int restore_files(const nas_process *process, const char *what, nas_error *err) {
    int rc = NAS_OK;
    dev_t device = 0;
    ino_t folder = 0;
    mode_t mask = get_mask();
    if (mask != process->mask) {
        umask(process->mask);
        rc = nas_fail(err, NAS_ERR_PLUGIN, "%s changed the umask: expected %03o, got %03o", what,
                      (unsigned)process->mask, (unsigned)mask);
    }
    bool seen = get_folder(&device, &folder);
    if (process->directory < 0 || (seen && device == process->device && folder == process->folder))
        return rc;
    bool back = fchdir(process->directory) == 0;
    return nas_fail(err, NAS_ERR_PLUGIN,
                    "%s changed the working directory%s; do not call chdir in a plugin", what,
                    back ? "" : ", and it cannot be changed back");
}

int nas_process_restore(const nas_process *process, const char *what, nas_error *err) {
    int rc = restore_float_mode(process, what, err);
    const char *locale = setlocale(LC_ALL, NULL);
    if (*process->locale && locale && strcmp(locale, process->locale) != 0) {
        rc = nas_fail(err, NAS_ERR_PLUGIN,
                      "%s changed the locale: expected \"%.60s\", got \"%.60s\"; do not call "
                      "setlocale in a plugin",
                      what, process->locale, locale);
        setlocale(LC_ALL, process->locale);
    }
    int files = restore_files(process, what, err);
    int number = restore_signals(process);
    if (number)
        rc = nas_fail(err, NAS_ERR_PLUGIN,
                      "%s changed the handler of signal %d (%s); the host keeps signals to itself",
                      what, number, strsignal(number));
    return rc ? rc : files;
}
