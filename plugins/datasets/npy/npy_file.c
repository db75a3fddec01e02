#include "npy_file.h"

#include <nashost/kit/dataset_files.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 8192 }; /* bytes that are skipped at a time */

/* Opens the member from its beginning. */
static int start(nas_npy_file *f, nas_error *err) {
    f->entry = zip_fopen_index(f->zip, f->index, 0);
    f->at = 0;
    if (f->entry) return NAS_OK;
    return nas_fail(err, nas_data_code(NAS_ERR_INPUT), "%s: cannot read it: %s", f->name,
                    nas_data_why(zip_strerror(f->zip)));
}

/* Writes "a, b, c" of the archive's members. */
static const char *members_text(zip_t *zip, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    for (zip_int64_t i = 0; i < zip_get_num_entries(zip, 0) && used < size; i++) {
        const char *name = zip_get_name(zip, (zip_uint64_t)i, 0);
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", name ? name : "");
    }
    return used ? text : "nothing";
}

/* The index of a member, named without its .npy (NULL: the only one); -1: there is none. */
static zip_int64_t find_member(zip_t *zip, const char *member) {
    char name[512];
    if (!member) return zip_get_num_entries(zip, 0) == 1 ? 0 : -1;
    snprintf(name, sizeof name, "%s.npy", member);
    return zip_name_locate(zip, name, 0);
}

static int unsound(const nas_npy_file *f, int code, nas_error *err) {
    zip_error_t why;
    zip_error_init_with_code(&why, code);
    int rc = nas_fail(err, nas_data_code(NAS_ERR_INPUT), "%s: not a sound .npz archive: %s",
                      f->path, nas_data_why(zip_error_strerror(&why)));
    zip_error_fini(&why);
    return rc;
}

int nas_npy_file_pick(nas_npy_file *f, const char *member, uint64_t file_size, nas_error *err) {
    char members[400];
    zip_stat_t status;
    errno = 0;
    zip_int64_t index = find_member(f->zip, member);
    if (index < 0 && errno == ENOMEM)
        return nas_fail(err, NAS_ERR_MEMORY, "%s: out of memory", f->path);
    if (index < 0)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: %s%s%s; name one of its arrays in the option \"%s\", as in "
                        "\"FILE.npz:NAME\"; it holds %s",
                        f->path, member ? "it has no array \"" : "which array of it is meant",
                        member ? member : "", member ? "\"" : "", f->option,
                        members_text(f->zip, members, sizeof members));
    f->index = (zip_uint64_t)index;
    if (zip_stat_index(f->zip, f->index, 0, &status))
        return nas_fail(err, nas_data_code(NAS_ERR_INPUT), "%s: %s", f->name,
                        nas_data_why(zip_strerror(f->zip)));
    f->size = status.size;
    if (f->size / NAS_DEFLATE_RATIO > file_size) /* so that no length can claim what is not there */
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: the archive of %llu bytes claims %llu bytes for it, more than "
                        "deflate can hold; fetch the file again",
                        f->name, (unsigned long long)file_size, (unsigned long long)f->size);
    return start(f, err);
}

/* Splits "FILE.npz:NAME" into f->path and *member (NULL: not given). */
static int split_name(nas_npy_file *f, const char *text, const char **member, nas_error *err) {
    f->name = strdup(text);
    f->path = strdup(text);
    if (!f->name || !f->path) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    char *mark = strstr(f->path, ".npz:");
    *member = mark ? text + (mark - f->path) + 5 : NULL;
    if (mark) mark[4] = '\0';
    return NAS_OK;
}

/* Opens a file or a member; the stream stands at its beginning. */
static int open_stream(nas_npy_file *f, const char *text, nas_error *err) {
    const char *member = NULL;
    char missing[64];
    int code, rc = split_name(f, text, &member, err);
    snprintf(missing, sizeof missing, "check the option \"%s\"", f->option);
    if (!rc) rc = nas_data_open(f->path, missing, &f->file, &f->size, err);
    size_t length = rc ? 0 : strlen(f->path);
    if (length < 5 || strcmp(f->path + length - 4, ".npz") != 0) return rc;
    fclose(f->file);
    f->file = NULL;
    errno = 0;
    f->zip = zip_open(f->path, ZIP_RDONLY, &code);
    return f->zip ? nas_npy_file_pick(f, member, f->size, err) : unsound(f, code, err);
}

void nas_npy_file_close(nas_npy_file *f) {
    if (f->file) fclose(f->file);
    if (f->entry) zip_fclose(f->entry);
    if (f->zip) zip_discard(f->zip);
    free(f->path);
    free(f->name);
    *f = (nas_npy_file){0};
}

/* Has libzip compare the checksum of a member that was read to its end. */
static int check_end(const nas_npy_file *f, nas_error *err) {
    uint8_t more;
    zip_int64_t got = f->entry && f->at == f->size ? zip_fread(f->entry, &more, 1) : 0;
    if (!got) return NAS_OK;
    return nas_fail(err, NAS_ERR_INPUT, "%s: offset %llu: %s; fetch the file again", f->name,
                    (unsigned long long)f->at,
                    got < 0 ? zip_file_strerror(f->entry) : "expected the end");
}

int nas_npy_file_take(nas_npy_file *f, void *out, uint64_t n, nas_error *err) {
    uint64_t got = 0;
    errno = 0;
    if (f->file) got = fread(out, 1, n, f->file);
    while (f->entry && got < n) {
        zip_int64_t more = zip_fread(f->entry, (char *)out + got, n - got);
        if (more < 0)
            return nas_fail(err, nas_data_code(NAS_ERR_INPUT),
                            "%s: offset %llu: %s; fetch the file again", f->name,
                            (unsigned long long)(f->at + got),
                            nas_data_why(zip_file_strerror(f->entry)));
        if (!more) break;
        got += (uint64_t)more;
    }
    f->at += got;
    if (got == n) return check_end(f, err);
    if (f->file && ferror(f->file))
        return nas_fail(err, NAS_ERR_IO, "%s: offset %llu: %s", f->name, (unsigned long long)f->at,
                        strerror(errno));
    return nas_fail(err, NAS_ERR_INPUT,
                    "%s: truncated: expected %llu bytes more at offset %llu; fetch the file again",
                    f->name, (unsigned long long)(n - got), (unsigned long long)f->at);
}

int nas_npy_file_seek(nas_npy_file *f, uint64_t offset, nas_error *err) {
    uint8_t skipped[CHUNK];
    int rc = NAS_OK;
    if (f->at == offset) return NAS_OK;
    if (f->file) {
        f->at = offset;
        if (!fseeko(f->file, (off_t)offset, SEEK_SET)) return NAS_OK;
        return nas_fail(err, NAS_ERR_IO, "%s: offset %llu: %s", f->name, (unsigned long long)offset,
                        strerror(errno));
    }
    if (!f->entry || offset < f->at) {
        if (f->entry) zip_fclose(f->entry);
        rc = start(f, err);
    }
    while (!rc && f->at < offset)
        rc = nas_npy_file_take(f, skipped, offset - f->at < CHUNK ? offset - f->at : CHUNK, err);
    return rc;
}

int nas_npy_file_header(nas_npy_file *f, nas_error *err) {
    uint8_t bytes[NAS_NPY_PREFIX + 2];
    uint32_t begin = 0, length = 0;
    int rc = nas_npy_file_take(f, bytes, NAS_NPY_PREFIX, err);
    if (!rc) rc = nas_npy_begin(bytes, f->name, &begin, err);
    if (!rc) rc = nas_npy_file_take(f, bytes + NAS_NPY_PREFIX, begin - NAS_NPY_PREFIX, err);
    if (!rc) rc = nas_npy_length(bytes, f->name, &length, err);
    if (rc) return rc;
    char *text = (char *)malloc(length + 1u);
    if (!text) return nas_fail(err, NAS_ERR_MEMORY, "out of memory");
    rc = nas_npy_file_take(f, text, length, err);
    f->begin = f->at;
    if (!rc) rc = nas_npy_parse(text, length, begin, f->name, &f->header, err);
    free(text);
    return rc;
}

int nas_npy_file_open(nas_npy_file *f, const char *text, const char *option, nas_error *err) {
    f->option = option;
    int rc = open_stream(f, text, err);
    return rc ? rc : nas_npy_file_header(f, err);
}
