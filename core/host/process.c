#include "host/process.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

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

void nas_process_save(nas_process *process) {
    memset(process, 0, sizeof *process);
    process->float_mode = get_float_mode();
    const char *locale = setlocale(LC_ALL, NULL);
    process->locale = locale ? strdup(locale) : NULL;
    for (int number = 1; number < NAS_SIGNALS; number++)
        if (sigaction(number, NULL, &process->actions[number]))
            process->actions[number].sa_handler = SIG_ERR;
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

int nas_process_restore(nas_process *process, const char *what, nas_error *err) {
    int rc = NAS_OK;
    uint64_t mode = get_float_mode();
    if (mode != process->float_mode) {
        set_float_mode(process->float_mode);
        rc = nas_fail(err, NAS_ERR_PLUGIN,
                      "%s changed the floating-point mode: expected control bits 0x%llx, got "
                      "0x%llx, as code built with -ffast-math does (it flushes small numbers to "
                      "zero); build it without -ffast-math, -Ofast and "
                      "-funsafe-math-optimizations",
                      what, (unsigned long long)process->float_mode, (unsigned long long)mode);
    }
    const char *locale = setlocale(LC_ALL, NULL);
    if (process->locale && locale && strcmp(locale, process->locale) != 0) {
        rc = nas_fail(err, NAS_ERR_PLUGIN,
                      "%s changed the locale: expected \"%.60s\", got \"%.60s\"; do not call "
                      "setlocale in a plugin",
                      what, process->locale, locale);
        setlocale(LC_ALL, process->locale);
    }
    int number = restore_signals(process);
    if (number)
        rc = nas_fail(err, NAS_ERR_PLUGIN,
                      "%s changed the handler of signal %d (%s); the host keeps signals to itself",
                      what, number, strsignal(number));
    free(process->locale);
    process->locale = NULL;
    return rc;
}
