#include "host/elf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { MACHINE = EM_AARCH64 };
#else
enum { MACHINE = EM_NONE }; /* not compared */
#endif

static int not_shared_object(nas_error *err, const char *found) {
    return nas_fail(err, NAS_ERR_PLUGIN,
                    "expected an ELF shared object, found %s; build it with `cc -shared -fPIC`",
                    found);
}

static int check_header(const ElfW(Ehdr) * header, nas_error *err) {
    const unsigned char class = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
    if (header->e_ident[EI_CLASS] != class)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "expected a %zu-bit shared object, found another word size; build it for "
                        "this machine",
                        8 * sizeof(void *));
    if (MACHINE != EM_NONE && header->e_machine != MACHINE)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "expected code for this processor (ELF machine %d), found machine %d; "
                        "build it for this machine",
                        MACHINE, header->e_machine);
    if (header->e_type != ET_DYN) return not_shared_object(err, "an object or a program");
    return NAS_OK;
}

/* The file's size must reach the end of what its headers describe. */
static int check_length(int fd, const ElfW(Ehdr) * header, uint64_t bytes, nas_error *err) {
    uint64_t end = header->e_phoff + (uint64_t)header->e_phnum * header->e_phentsize;
    uint64_t sections = header->e_shoff + (uint64_t)header->e_shnum * header->e_shentsize;
    if (sections > end) end = sections;
    for (unsigned i = 0; i < header->e_phnum && end <= bytes; i++) {
        ElfW(Phdr) segment;
        off_t at = (off_t)(header->e_phoff + (uint64_t)i * header->e_phentsize);
        if (pread(fd, &segment, sizeof segment, at) != (ssize_t)sizeof segment)
            return nas_fail(err, NAS_ERR_PLUGIN, "cannot read its segments: %s", strerror(errno));
        if (segment.p_offset + segment.p_filesz > end) end = segment.p_offset + segment.p_filesz;
    }
    if (end <= bytes) return NAS_OK;
    return nas_fail(err, NAS_ERR_PLUGIN,
                    "the file is cut short: expected at least %llu bytes, found %llu; build or "
                    "copy it again",
                    (unsigned long long)end, (unsigned long long)bytes);
}

/* What anyone may write to is anyone's code. */
static int check_writers(const char *path, const struct stat *status, nas_error *err) {
    if (!(status->st_mode & S_IWOTH) || getenv("NASHOST_TRUST_WRITABLE")) return NAS_OK;
    return nas_fail(err, NAS_ERR_PLUGIN,
                    "every user may write to it, and so run code here; `chmod o-w %.500s`, or set "
                    "NASHOST_TRUST_WRITABLE=1",
                    path);
}

static int check_open_file(int fd, const char *path, nas_error *err) {
    struct stat status;
    ElfW(Ehdr) header;
    if (fstat(fd, &status)) return nas_fail(err, NAS_ERR_PLUGIN, "%s", strerror(errno));
    if (S_ISDIR(status.st_mode)) return not_shared_object(err, "a folder");
    if (!S_ISREG(status.st_mode)) return not_shared_object(err, "a device or pipe");
    int open_to_all = check_writers(path, &status, err);
    if (open_to_all) return open_to_all;
    ssize_t got = pread(fd, &header, sizeof header, 0);
    if (got < 0) return nas_fail(err, NAS_ERR_PLUGIN, "cannot read it: %s", strerror(errno));
    if (got < SELFMAG || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return not_shared_object(err, got ? "another kind of file" : "an empty file");
    if (got < (ssize_t)sizeof header)
        return nas_fail(err, NAS_ERR_PLUGIN,
                        "the file is cut short: expected at least %zu bytes, found %zd; build or "
                        "copy it again",
                        sizeof header, got);
    int rc = check_header(&header, err);
    return rc ? rc : check_length(fd, &header, (uint64_t)status.st_size, err);
}

int nas_elf_check(const char *path, nas_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return nas_fail(err, NAS_ERR_PLUGIN, "cannot open it: %s%s", strerror(errno),
                        errno == ENOENT ? "; build it, or correct its path" : "");
    int rc = check_open_file(fd, path, err);
    close(fd);
    return rc;
}
