#include <nashost/kit/json_file.h>

#include <nashost/kit/names.h>
#include <nashost/kit/text.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int nas_json_fail(const char *file, const char *key, const json_t *found, const char *expected,
                  nas_error *err) {
    char *text = found ? nas_json_text(found, JSON_ENCODE_ANY | JSON_COMPACT, NULL) : NULL;
    int rc = nas_fail(err, NAS_ERR_INPUT, "%s: %.200s: expected %s, found %.60s", file, key,
                      expected, found ? text ? text : "?" : "nothing");
    free(text);
    return rc;
}

/* ---- Reading ---- */

/* The parser quotes the text near a mistake, which may hold control characters. */
static void one_line(char *text) {
    for (; *text; text++)
        if ((unsigned char)*text < ' ') *text = ' ';
}

/* At least as many bytes as the longest token of a text has. */
static size_t longest_token(const char *text, size_t n) {
    size_t longest = 0, start = 0;
    for (size_t i = 0; i <= n; i++) {
        bool end = i == n || text[i] == '"';
        if (end && i - start > longest) longest = i - start;
        if (end) start = i + 1;
        if (i < n && text[i] == '\\') i++;
    }
    return longest;
}

/* Where the buffer of Jansson's lexer cannot grow, it leaves out characters of a token, or runs
 * past its end, without a word. So the text is parsed behind a string that is as long as any token
 * in it: where that is whole, the buffer did grow, and does not have to again. Its length, a power
 * of 2, is one at which the buffer has room for the closing quote. NULL: no memory, or no JSON. */
static json_t *parse_whole(const char *text, size_t n, size_t flags) {
    size_t length = 16, longest = longest_token(text, n);
    nas_text guarded = {0};
    json_t *list = NULL;
    while (length < longest + 4) length *= 2;
    nas_text_add(&guarded, "[\"", 2);
    for (size_t i = 0; i < length; i += 16) nas_text_add(&guarded, "................", 16);
    nas_text_add(&guarded, "\",", 2);
    nas_text_add(&guarded, text, n);
    nas_text_add(&guarded, "\n]", 2);
    if (!guarded.failed)
        list = json_loadb(guarded.data, guarded.bytes, JSON_REJECT_DUPLICATES | flags, NULL);
    json_t *json = json_array_size(list) == 2 ? json_incref(json_array_get(list, 1)) : NULL;
    bool whole = json_string_length(json_array_get(list, 0)) == length &&
                 (flags & JSON_DECODE_ANY || json_is_object(json) || json_is_array(json));
    json_decref(list);
    nas_text_free(&guarded);
    if (whole) return json;
    json_decref(json);
    return NULL;
}

int nas_json_parse(const char *text, size_t n, size_t flags, const char *where, json_t **json,
                   nas_error *err) {
    *json = NULL;
    if (n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3))
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s:1:1: the file starts with a byte order mark; save it as UTF-8 "
                        "without one",
                        where);
    *json = parse_whole(text, n, flags);
    if (*json) return NAS_OK;
    json_error_t mistake;
    errno = 0; /* without memory Jansson may well speak of an invalid token */
    json_t *good = json_loadb(text, n, JSON_REJECT_DUPLICATES | flags, &mistake);
    int number = errno;
    json_decref(good);
    if (good || number == ENOMEM || json_error_code(&mistake) == json_error_out_of_memory)
        return nas_fail(err, NAS_ERR_MEMORY, "cannot parse %s: out of memory", where);
    one_line(mistake.text);
    return nas_fail(err, NAS_ERR_INPUT, "%s:%d:%d: not valid JSON: %s", where, mistake.line,
                    mistake.column, mistake.text);
}

/* Reads a file into a text; a folder or a pipe is refused, and not waited for. */
static int read_file(const char *file, nas_text *text, nas_error *err) {
    char buffer[4096];
    struct stat status;
    int fd;
    do fd = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    ssize_t got = fd < 0 ? -1 : 0;
    if (fd < 0 && errno == ENOENT)
        return nas_fail(err, NAS_ERR_INPUT, "%s: there is no such file%s", file,
                        nas_nearest_file(file, buffer, 300));
    if (fd >= 0 && (fstat(fd, &status) || !S_ISREG(status.st_mode))) {
        close(fd);
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected a regular file", file);
    }
    while (fd >= 0 && ((got = read(fd, buffer, sizeof buffer)) > 0 || (got < 0 && errno == EINTR)))
        if (got > 0) nas_text_add(text, buffer, (size_t)got);
    int number = got < 0 ? errno : text->failed ? ENOMEM : 0;
    if (fd >= 0) close(fd);
    if (!number) return NAS_OK;
    return nas_fail(err, number == ENOMEM ? NAS_ERR_MEMORY : NAS_ERR_INPUT,
                    "%s: cannot be read: %s", file, strerror(number));
}

int nas_json_read(const char *file, json_t **root, nas_error *err) {
    nas_text text = {0};
    *root = NULL;
    int rc = read_file(file, &text, err);
    if (!rc) rc = nas_json_parse(text.data ? text.data : "", text.bytes, 0, file, root, err);
    nas_text_free(&text);
    if (rc || json_is_object(*root)) return rc;
    json_decref(*root);
    *root = NULL;
    return nas_fail(err, NAS_ERR_INPUT, "%s: expected an object", file);
}

int nas_json_keys(const char *file, const char *prefix, const json_t *object,
                  const char *const *names, size_t n, nas_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        bool known = false;
        for (size_t i = 0; i < n; i++) known = known || strcmp(key, names[i]) == 0;
        if (known) continue;
        char list[400] = "";
        for (size_t i = 0, used = 0; i < n && used < sizeof list; i++)
            used +=
                (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
        return nas_fail(err, NAS_ERR_INPUT, "%s: %s%.60s: unknown key; the keys here are %s", file,
                        prefix, key, list);
    }
    return NAS_OK;
}

int nas_json_number(const char *file, const char *key, const json_t *found, bool zero, double most,
                    double *value, nas_error *err) {
    *value = json_number_value(found);
    if (json_is_number(found) && (zero ? *value >= 0 : *value > 0) && *value <= most) return NAS_OK;
    char expected[80];
    snprintf(expected, sizeof expected, "a number %s and at most %g",
             zero ? "of at least 0" : "above 0", most);
    return nas_json_fail(file, key, found, expected, err);
}

json_t *nas_json_plain(double value) {
    return value == floor(value) ? json_integer((json_int_t)value) : json_real(value);
}

/* ---- Writing ---- */

static int add(const char *data, size_t n, void *text) {
    nas_text_add(text, data, n);
    return ((nas_text *)text)->failed ? -1 : 0;
}

/* Writes the number in text [n] with as few digits as give it back, and returns how many characters
 * these are; where that is no shorter, those of text. to may overlap it from the left. */
static size_t shorten(const char *text, size_t n, char *to) {
    char found[40], as_is[40];
    bool real = n < sizeof as_is && memchr(text, '.', n);
    memcpy(as_is, text, real ? n : 0);
    as_is[real ? n : 0] = 0;
    double value = strtod(as_is, NULL);
    for (int digits = 15; real && digits < 17; digits++) {
        snprintf(found, sizeof found, "%.*g", digits, value);
        if (strtod(found, NULL) != value) continue;
        if (!strpbrk(found, ".e")) strcat(found, ".0");
        if (strlen(found) >= n) break;
        memcpy(to, found, strlen(found));
        return strlen(found);
    }
    memmove(to, text, n);
    return n;
}

/* A JSON text with its numbers in as few digits as they need; returns its bytes. Jansson writes 17:
 * 0.80000000000000004. */
static size_t shorten_all(char *text) {
    char *to = text;
    for (const char *from = text; *from;) {
        size_t n = 1;
        bool number = *from == '-' || (*from >= '0' && *from <= '9');
        if (number) n = strspn(from, "+-0123456789.eE");
        while (*from == '"' && from[n] != '"') n += from[n] == '\\' ? 2 : 1;
        if (*from == '"') n++;
        if (number)
            to += shorten(from, n, to);
        else
            to = (char *)memmove(to, from, n) + n;
        from += n;
    }
    *to = 0;
    return (size_t)(to - text);
}

char *nas_json_text(const json_t *json, size_t flags, size_t *bytes) {
    nas_text text = {0};
    if (!json || json_dump_callback(json, add, &text, flags)) text.failed = true;
    char *taken = nas_text_take(&text);
    size_t n = taken ? shorten_all(taken) : 0;
    if (bytes) *bytes = n;
    return taken;
}

int nas_json_write(const char *file, const json_t *json, size_t flags, nas_error *err) {
    size_t bytes = 0;
    char *text = nas_json_text(json, flags, &bytes);
    if (!text)
        return nas_fail(err, NAS_ERR_MEMORY, "cannot write %s: no memory for its text", file);
    text[bytes++] = '\n'; /* where its NUL was */
    errno = 0;
    FILE *out = fopen(file, "w");
    bool good = out && fwrite(text, 1, bytes, out) == bytes && fflush(out) == 0;
    if (out && fclose(out)) good = false;
    free(text);
    if (good) return NAS_OK;
    return nas_fail(err, NAS_ERR_IO, "cannot write %s: %s", file, strerror(errno ? errno : EIO));
}

/* ---- Building ---- */

static void keep(json_t **json, int failed) {
    if (!failed) return;
    json_decref(*json);
    *json = NULL;
}

void nas_json_put(json_t **object, const char *key, json_t *value) {
    keep(object, json_object_set_new(*object, key, value));
}

void nas_json_add(json_t **array, json_t *value) {
    keep(array, json_array_append_new(*array, value));
}

void nas_json_merge(json_t **object, json_t *others) {
    keep(object, json_object_update(*object, others));
    json_decref(others);
}

json_t *nas_json_copy(const json_t *json) {
    json_t *copy = json_deep_copy(json);
    if (copy && json_equal(copy, json)) return copy;
    json_decref(copy);
    return NULL;
}

json_t *nas_number_json(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *nas_count_json(uint64_t value) {
    return value <= INT64_MAX ? json_integer((json_int_t)value) : json_null();
}

/* Bytes of the UTF-8 character (RFC 3629) at text, of which n bytes are there; 0: it is none. */
static size_t character(const unsigned char *text, size_t n) {
    size_t length = *text < 0x80 ? 1 : *text < 0xc2 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : 4;
    if (*text > 0xf4 || length > n) return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    if (*text == 0xe0 && text[1] < 0xa0) return 0;
    if (*text == 0xed && text[1] > 0x9f) return 0;
    if (*text == 0xf0 && text[1] < 0x90) return 0;
    if (*text == 0xf4 && text[1] > 0x8f) return 0;
    return length;
}

bool nas_text_valid(const char *text) {
    size_t n = strlen(text), step;
    for (size_t at = 0; at < n; at += step)
        if (!(step = character((const unsigned char *)text + at, n - at))) return false;
    return true;
}

char *nas_text_escaped(const char *text, char *buffer, size_t size) {
    size_t n = strlen(text), used = 0;
    buffer[0] = 0;
    for (size_t at = 0; at < n && used + 8 < size;) {
        size_t step = character((const unsigned char *)text + at, n - at);
        if (step)
            snprintf(buffer + used, size - used, "%.*s", (int)step, text + at);
        else
            snprintf(buffer + used, size - used, "\\x%02x", (unsigned char)text[at]);
        used += strlen(buffer + used);
        at += step ? step : 1;
    }
    return buffer;
}

json_t *nas_text_json(const char *text) {
    static const char replacement[] = "\xEF\xBF\xBD";
    if (!text) return json_null();
    size_t bytes = strlen(text), used = 0;
    char *clean = calloc(bytes + 1, sizeof replacement);
    for (size_t at = 0; clean && at < bytes;) {
        size_t n = character((const unsigned char *)text + at, bytes - at);
        memcpy(clean + used, n ? text + at : replacement, n ? n : sizeof replacement - 1);
        used += n ? n : sizeof replacement - 1;
        at += n ? n : 1;
    }
    json_t *json = clean ? json_stringn(clean, used) : NULL;
    free(clean);
    return json;
}

json_t *nas_base64_json(const uint8_t *data, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t length = (n + 2) / 3 * 4;
    char *text = malloc(length + 1);
    if (!text) return NULL;
    for (size_t i = 0, at = 0; i < n; i += 3) {
        unsigned left = n - i < 3 ? (unsigned)(n - i) : 3, bits = (unsigned)data[i] << 16;
        if (left > 1) bits |= (unsigned)data[i + 1] << 8;
        if (left > 2) bits |= data[i + 2];
        for (unsigned d = 0; d < 4; d++)
            text[at++] = d <= left ? digits[bits >> (18 - 6 * d) & 63] : '=';
    }
    json_t *json = json_stringn(text, length);
    free(text);
    return json;
}
