/* The keys of spaces and genomes in JSON, as tables: one for who reads them and for who describes
 * them to editors. */
#ifndef NAS_SPACE_KEYS_H
#define NAS_SPACE_KEYS_H

#include "space/fields.h"

typedef enum nas_key_form {
    NAS_KEY_TEXT,    /* char []: a string of min to max bytes */
    NAS_KEY_INT,     /* uint32_t */
    NAS_KEY_NUMBER,  /* double */
    NAS_KEY_CHOICES, /* nas_choices: ascending integers, or one */
    NAS_KEY_BLOCKS,  /* nas_block_choices: such choices, or a list of them for each block */
    NAS_KEY_RATIOS,  /* nas_block_ratios: the same of numbers */
    NAS_KEY_WORD,    /* uint32_t: the number of one of some words */
    NAS_KEY_FLAG,    /* bool */
    NAS_KEY_COLOUR,  /* float [3]: three numbers, 0 to 1 */
    NAS_KEY_SWITCH,  /* bool, or an object of further keys, which is true */
    NAS_KEY_INTS,    /* uint32_t []: integers */
    NAS_KEY_OBJECT,  /* further keys, whose fields lie in the same structure */
    NAS_KEY_OBJECTS, /* structures, each with such keys */
} nas_key_form;

/* One key. A table ends with an entry whose name is NULL. */
typedef struct nas_key {
    const char *name;
    nas_key_form form;
    const char *help;           /* one line; NULL: none */
    size_t offset;              /* of its field in the structure that is filled */
    uint32_t min, max;          /* inclusive, of each integer */
    double low, high;           /* the same of numbers */
    const char *const *words;   /* of a word; ends with NULL */
    bool odd;                   /* integers */
    bool positive;              /* colours: none is 0 */
    bool optional;              /* may be missing; the field then stays as it was */
    const char *with;           /* may be missing only where this key's array is missing or empty */
    const struct nas_key *keys; /* of objects */
    uint32_t least, most;       /* items of INTS and OBJECTS */
    size_t count, item_bytes; /* of these: the offset of how many there are (uint32_t); the size of
                                 a structure */
} nas_key;

/* Fails unless json is an object that has no other keys than these. [any] */
int nas_keys_check(const nas_spot *at, const json_t *json, const nas_key *keys, nas_error *err);

/* Reads an object into the structure at base. [any] */
int nas_keys_read(const nas_spot *at, const json_t *json, const nas_key *keys, void *base,
                  nas_error *err);

/* The JSON Schema (2020-12) of such objects. That choices ascend is left to nas_keys_read. The
 * caller owns it; NULL: out of memory. [any] */
json_t *nas_keys_schema(const nas_key *keys);

#endif
