/* Loaded before a program by LD_PRELOAD: makes call number FAULT_AT (from 1; 0: none) fail, of the
 * kind FAULT_KIND: "malloc" (an allocation) or "io" (a call that opens, writes, closes, renames,
 * ...) or "kill" (the process is killed before that call of "io"). With FAULT_FROM set, every later
 * one fails, too. FAULT_COUNT: a file to which the number of calls is written at the end. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static atomic_long calls;
static long at;
static bool from, on, io, deadly, interrupts;

__attribute__((constructor)) static void begin(void) {
    const char *number = getenv("FAULT_AT"), *kind = getenv("FAULT_KIND");
    at = number ? atol(number) : 0;
    from = getenv("FAULT_FROM") != NULL;
    deadly = kind && strcmp(kind, "kill") == 0;
    io = deadly || (kind && strcmp(kind, "io") == 0);
    on = true;
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("FAULT_COUNT");
    char text[32];
    on = false;
    int fd = path ? (int)(long)open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    if (fd < 0) return;
    int n = snprintf(text, sizeof text, "%ld\n", (long)calls);
    if (write(fd, text, (size_t)n) != n) _exit(99);
    close(fd);
}

/* For a program that is loaded with this: from now on call number n of that kind fails (0: none).
 * Returns how many there were since it was last called. faults_pause(): until then none fails or
 * counts. tests/lib/failing.h */
long faults_set(const char *kind, long n) {
    at = 0;
    long before = atomic_exchange(&calls, 0);
    interrupts = strcmp(kind, "interrupt") == 0;
    io = interrupts || strcmp(kind, "io") == 0;
    at = n;
    on = true;
    return before;
}

void faults_pause(void) {
    on = false;
}

static bool fails(bool is_io) {
    if (!on || is_io != io) return false;
    long call = atomic_fetch_add(&calls, 1) + 1;
    if (!at || call < at || (call > at && !from)) return false;
    if (deadly) kill(getpid(), SIGKILL);
    static const int numbers[] = {EIO, ENOSPC, EACCES, EDQUOT};
    errno = is_io ? numbers[call % 4] : ENOMEM;
    return true;
}

/* A call that a signal may interrupt: of kind "interrupt" it fails by that. */
static bool stops(void) {
    if (!fails(true)) return false;
    if (interrupts) errno = EINTR;
    return true;
}

void *malloc(size_t n) {
    return fails(false) ? NULL : __libc_malloc(n);
}
void *calloc(size_t n, size_t size) {
    return fails(false) ? NULL : __libc_calloc(n, size);
}
void *realloc(void *memory, size_t n) {
    return fails(false) ? NULL : __libc_realloc(memory, n);
}
void *memalign(size_t align, size_t n) {
    return fails(false) ? NULL : __libc_memalign(align, n);
}
void *aligned_alloc(size_t align, size_t n) {
    return fails(false) ? NULL : __libc_memalign(align, n);
}
int posix_memalign(void **memory, size_t align, size_t n) {
    if (fails(false)) return ENOMEM;
    *memory = __libc_memalign(align, n);
    return *memory ? 0 : ENOMEM;
}

/* Any other call of input and output. */
static bool broken(void) {
    return !interrupts && fails(true);
}

#define NEXT(name) ((__typeof__(name) *)next(#name))
static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

int open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return stops() ? -1 : NEXT(open)(path, flags, mode);
}
ssize_t write(int fd, const void *data, size_t n) {
    return fd > 2 && stops() ? -1 : NEXT(write)(fd, data, n);
}
ssize_t read(int fd, void *data, size_t n) {
    return stops() ? -1 : NEXT(read)(fd, data, n);
}
int fsync(int fd) {
    return stops() ? -1 : NEXT(fsync)(fd);
}
int close(int fd) {
    bool failed = fd > 2 && stops();
    int number = errno, rc = NEXT(close)(fd);
    if (failed) errno = number;
    return failed ? -1 : rc;
}
int link(const char *old, const char *new) {
    return broken() ? -1 : NEXT(link)(old, new);
}
int rename(const char *old, const char *new) {
    return broken() ? -1 : NEXT(rename)(old, new);
}
int unlink(const char *path) {
    return broken() ? -1 : NEXT(unlink)(path);
}
int mkdir(const char *path, mode_t mode) {
    return broken() ? -1 : NEXT(mkdir)(path, mode);
}
FILE *fopen(const char *path, const char *mode) {
    return broken() ? NULL : NEXT(fopen)(path, mode);
}
size_t fwrite(const void *data, size_t size, size_t n, FILE *file) {
    if (file == stderr || file == stdout || !broken()) return NEXT(fwrite)(data, size, n, file);
    file->_flags |= 0x20; /* what ferror() looks at in glibc */
    return 0;
}
size_t fread(void *data, size_t size, size_t n, FILE *file) {
    if (!broken()) return NEXT(fread)(data, size, n, file);
    file->_flags |= 0x20;
    return 0;
}
int fclose(FILE *file) {
    bool failed = broken();
    int number = errno, rc = NEXT(fclose)(file);
    if (failed) errno = number;
    return failed ? EOF : rc;
}
