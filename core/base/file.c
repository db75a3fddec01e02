#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <nashost/kit/names.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than this many temporary files of one process for one path are left-overs. */
enum { TEMPORARY_NAMES = 100000 };

/* Linux moves at most this many bytes in one call. */
static const size_t MOST_AT_ONCE = 0x7ffff000;

static int fail_errno(nas_error *err, const char *doing, const char *path, int number) {
    const char *advice = "";
    if (number == ENOSPC || number == EDQUOT) advice = "; free some space there";
    if (number == ENOENT) advice = "; check that its folder exists";
    if (number == EACCES || number == EPERM) advice = "; check the permissions";
    return nas_fail(err, number == ENOMEM ? NAS_ERR_MEMORY : NAS_ERR_IO, "cannot %s %s: %s%s",
                    doing, path, strerror(number), advice);
}

static int open_again(const char *path, int flags) {
    int fd;
    do fd = open(path, flags | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Reads until the buffer is full or the file ends; the bytes read, or -1. */
static ssize_t read_all(int fd, char *data, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        size_t left = bytes - done;
        ssize_t got = read(fd, data + done, left < MOST_AT_ONCE ? left : MOST_AT_ONCE);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        if (got == 0) break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int check_readable(int fd, const char *path, size_t limit, size_t *bytes, nas_error *err) {
    struct stat status;
    if (fstat(fd, &status)) return fail_errno(err, "read", path, errno);
    if (S_ISDIR(status.st_mode))
        return nas_fail(err, NAS_ERR_IO, "cannot read %s: it is a folder; name a file", path);
    if (!S_ISREG(status.st_mode))
        return nas_fail(err, NAS_ERR_IO, "cannot read %s: it is not a regular file", path);
    if ((uint64_t)status.st_size > limit)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s has %llu bytes, but at most %zu are accepted here; is it the right "
                        "file?",
                        path, (unsigned long long)status.st_size, limit);
    *bytes = (size_t)status.st_size;
    return NAS_OK;
}

static int read_open(int fd, const char *path, size_t limit, char **data, size_t *bytes,
                     nas_error *err) {
    size_t size = 0;
    int rc = check_readable(fd, path, limit, &size, err);
    if (rc) return rc;
    char *text = size < SIZE_MAX ? malloc(size + 1) : NULL;
    if (!text)
        return nas_fail(err, NAS_ERR_MEMORY, "cannot read %s: no memory for its %zu bytes", path,
                        size);
    ssize_t got = read_all(fd, text, size);
    char more;
    if (got < 0) {
        rc = fail_errno(err, "read", path, errno);
    } else if ((size_t)got < size || read_all(fd, &more, 1) > 0) {
        rc = nas_fail(err, NAS_ERR_IO, "%s changed its size while it was read; try again", path);
    }
    if (rc) {
        free(text);
        return rc;
    }
    text[size] = '\0';
    *data = text;
    *bytes = size;
    return NAS_OK;
}

int nas_file_read(const char *path, size_t limit, char **data, size_t *bytes, nas_error *err) {
    *data = NULL;
    *bytes = 0;
    char near[300];
    /* O_NONBLOCK: opening a pipe must not wait for a writer. */
    int fd = open_again(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return nas_fail(err, NAS_ERR_IO, "cannot read %s: there is no such file%s", path,
                        nas_nearest_file(path, near, sizeof near));
    if (fd < 0) return fail_errno(err, "read", path, errno);
    int rc = read_open(fd, path, limit, data, bytes, err);
    close(fd);
    return rc;
}

/* Closes fd, which was written to; a first failure, in number, is kept. */
static int close_written(int fd, int number) {
    if (close(fd) && !number && errno != EINTR) number = errno;
    return number;
}

static int sync_open(int fd) {
    while (fsync(fd))
        if (errno != EINTR) return errno;
    return 0;
}

/* A file system that cannot sync a folder, or a folder that may not be opened, is no failure. */
static int sync_folder(const char *path, nas_error *err) {
    char *folder = nas_path_folder(path);
    if (!folder) return nas_fail(err, NAS_ERR_MEMORY, "cannot write %s: out of memory", path);
    int fd = open_again(folder, O_RDONLY | O_DIRECTORY);
    int number = 0;
    if (fd >= 0) {
        number = sync_open(fd);
        close(fd);
    }
    free(folder);
    if (number == EIO) return fail_errno(err, "write", path, number);
    return NAS_OK;
}

/* Creates an empty file beside path under a name that nobody else holds; the caller frees it. */
static int make_temporary(const char *path, char **temporary, nas_error *err) {
    int number = EEXIST;
    for (int i = 0; i < TEMPORARY_NAMES && number == EEXIST; i++) {
        if (asprintf(temporary, "%s.%ld-%d.tmp", path, (long)getpid(), i) < 0) {
            *temporary = NULL;
            return nas_fail(err, NAS_ERR_MEMORY, "cannot write %s: out of memory", path);
        }
        int fd = open_again(*temporary, O_WRONLY | O_CREAT | O_EXCL);
        if (fd >= 0) {
            close(fd);
            return NAS_OK;
        }
        number = errno;
        free(*temporary);
        *temporary = NULL;
    }
    return fail_errno(err, "write", path, number);
}

static int publish(const char *path, const char *temporary, nas_error *err) {
    int fd = open_again(temporary, O_RDONLY);
    if (fd < 0) return fail_errno(err, "write", path, errno);
    int number = sync_open(fd);
    number = close_written(fd, number);
    if (!number && rename(temporary, path)) number = errno;
    if (number) return fail_errno(err, "write", path, number);
    return sync_folder(path, err);
}

int nas_file_replace(const char *path, nas_file_writer writer, void *context, nas_error *err) {
    struct stat status;
    if (!stat(path, &status) && !S_ISREG(status.st_mode))
        return nas_fail(err, NAS_ERR_IO, "cannot write %s: it is %s; choose another name", path,
                        S_ISDIR(status.st_mode) ? "a folder" : "not a regular file");
    char *temporary = NULL;
    int rc = make_temporary(path, &temporary, err);
    if (rc || !temporary) return rc;
    rc = writer(context, temporary, err);
    if (!rc) rc = publish(path, temporary, err);
    if (rc) unlink(temporary);
    free(temporary);
    return rc;
}

typedef struct content {
    const char *path; /* the final one, for messages */
    const nas_piece *pieces;
    size_t n;
} content;

static int write_all(int fd, const char *data, size_t bytes) {
    while (bytes) {
        ssize_t put = write(fd, data, bytes < MOST_AT_ONCE ? bytes : MOST_AT_ONCE);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return errno;
        if (put == 0) return EIO;
        data += put;
        bytes -= (size_t)put;
    }
    return 0;
}

/* Whether the file holds these bytes next. */
static bool holds(int fd, const char *data, size_t bytes) {
    char buffer[1 << 16];
    while (bytes) {
        size_t n = bytes < sizeof buffer ? bytes : sizeof buffer;
        if (read_all(fd, buffer, n) != (ssize_t)n || memcmp(buffer, data, n) != 0) return false;
        data += n;
        bytes -= n;
    }
    return true;
}

/* Reads back what was written: not every loss is told to the one who writes. */
static int check_content(const content *wanted, const char *temporary, nas_error *err) {
    int fd = open_again(temporary, O_RDONLY);
    if (fd < 0) return fail_errno(err, "write", wanted->path, errno);
    bool good = true;
    char more;
    for (size_t i = 0; i < wanted->n && good; i++)
        good = holds(fd, wanted->pieces[i].data, wanted->pieces[i].bytes);
    good = good && read_all(fd, &more, 1) == 0;
    close(fd);
    if (good) return NAS_OK;
    return nas_fail(err, NAS_ERR_IO, "cannot write %s: what was written is not what is read back",
                    wanted->path);
}

static int write_content(void *context, const char *temporary, nas_error *err) {
    const content *wanted = context;
    int fd = open_again(temporary, O_WRONLY | O_TRUNC);
    if (fd < 0) return fail_errno(err, "write", wanted->path, errno);
    int number = 0;
    for (size_t i = 0; i < wanted->n && !number; i++)
        number = write_all(fd, wanted->pieces[i].data, wanted->pieces[i].bytes);
    number = close_written(fd, number);
    if (number) return fail_errno(err, "write", wanted->path, number);
    return check_content(wanted, temporary, err);
}

int nas_file_write_pieces(const char *path, const nas_piece *pieces, size_t n, nas_error *err) {
    content wanted = {.path = path, .pieces = pieces, .n = n};
    return nas_file_replace(path, write_content, &wanted, err);
}

int nas_file_write(const char *path, const void *data, size_t bytes, nas_error *err) {
    nas_piece whole = {.data = data, .bytes = bytes};
    return nas_file_write_pieces(path, &whole, 1, err);
}

int nas_file_keep(const char *path, const char *kept, nas_error *err) {
    if (!nas_file_exists(path)) return NAS_OK;
    if (unlink(kept) && errno != ENOENT) return fail_errno(err, "replace", kept, errno);
    if (!link(path, kept) || !rename(path, kept)) return NAS_OK;
    return fail_errno(err, "keep", path, errno);
}

int nas_file_move(const char *from, const char *to, nas_error *err) {
    if (rename(from, to)) return fail_errno(err, "write", to, errno);
    return sync_folder(to, err);
}

int nas_file_open_append(const char *path, int *file, nas_error *err) {
    struct stat status;
    /* Opening a pipe for writing would wait for a reader. */
    int fd = open_again(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOFOLLOW);
    *file = 0;
    if (fd < 0) return fail_errno(err, "write", path, errno);
    if (!fstat(fd, &status) && S_ISREG(status.st_mode)) {
        *file = fd;
        return NAS_OK;
    }
    close(fd);
    return nas_fail(err, NAS_ERR_IO, "cannot write %s: it is not a regular file", path);
}

int nas_file_append(int file, const char *path, const void *data, size_t bytes, nas_error *err) {
    int number = write_all(file, data, bytes);
    return number ? fail_errno(err, "write", path, number) : NAS_OK;
}

static bool is_folder(const char *path) {
    struct stat status;
    return !stat(path, &status) && S_ISDIR(status.st_mode);
}

static int make_one(const char *path, nas_error *err) {
    if (is_folder(path) || !mkdir(path, 0777)) return NAS_OK;
    int number = errno;
    if (is_folder(path)) return NAS_OK; /* another process was faster */
    if (number == EEXIST)
        return nas_fail(err, NAS_ERR_IO, "cannot make folder %s: a file has that name", path);
    return fail_errno(err, "make folder", path, number);
}

int nas_folder_make(const char *path, nas_error *err) {
    char *copy = strdup(path);
    if (!copy) return nas_fail(err, NAS_ERR_MEMORY, "cannot make folder %s: out of memory", path);
    int rc = NAS_OK;
    for (char *at = copy; *at && !rc; at++) {
        if (*at != '/' || at == copy) continue;
        *at = '\0';
        rc = make_one(copy, err);
        *at = '/';
    }
    if (!rc) rc = make_one(copy, err);
    free(copy);
    return rc;
}

int nas_folder_lock(const char *path, int *lock, bool *got, nas_error *err) {
    *got = true;
    *lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*lock < 0) return fail_errno(err, "open folder", path, errno);
    if (flock(*lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return NAS_OK;
    *got = false;
    close(*lock);
    *lock = -1;
    return NAS_OK;
}

bool nas_file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

char *nas_path_join(const char *base, const char *name) {
    size_t length = strlen(base);
    if (!length || name[0] == '/') return strdup(name);
    char *joined = NULL;
    const char *slash = base[length - 1] == '/' ? "" : "/";
    return asprintf(&joined, "%s%s%s", base, slash, name) < 0 ? NULL : joined;
}

char *nas_path_folder(const char *path) {
    char *copy = strdup(path);
    if (!copy) return NULL;
    char *folder = strdup(dirname(copy)); /* dirname may answer with a constant */
    free(copy);
    return folder;
}
