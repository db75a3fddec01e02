/* safetensors files: 8 bytes of header length (little-endian), a JSON header, raw tensors.
 * Format: https://github.com/huggingface/safetensors#format */
#ifndef NAS_BASE_SAFETENSORS_H
#define NAS_BASE_SAFETENSORS_H

#include <nashost/plugin.h>

/* A float32 tensor, row-major; shape beyond ndim is 0. */
typedef struct nas_tensor {
    char name[96];
    uint32_t ndim;
    uint64_t shape[4];
    const float *data;
} nas_tensor;

/* A file read back. tensors point into data. */
typedef struct nas_tensor_file {
    char *memory;
    nas_tensor *tensors;
    size_t n_tensors;
    char *metadata;   /* the "__metadata__" object as JSON text, or NULL */
    float *converted; /* numbers of other types than F32 as float32; tensors may point here, too */
} nas_tensor_file;

/* Writes float32 tensors, in the order given, as nas_file_write does. metadata_json is an object
 * of strings, or NULL; it gets a further key, "checksum", of all that the file holds. Names must
 * differ. The data starts at a multiple of 8 bytes. [any] */
int nas_tensors_save(const char *path, const nas_tensor *tensors, size_t n,
                     const char *metadata_json, nas_error *err);

/* Reads a file. Tensors of other types than F32 (F64, F16, BF16, integers, BOOL) are converted, and
 * may be rounded by it; 8-bit floats are refused. Checks every field: header length, JSON, types,
 * shapes against sizes, that tensors follow one another without gap or overlap, in whatever order
 * the header names them, up to the end of the file, and, where all are F32, the checksum if there
 * is one. [any] */
int nas_tensors_load(const char *path, nas_tensor_file *file, nas_error *err);

/* The same for a file's bytes in memory from malloc. Takes ownership of memory: it goes to *file,
 * or is freed on failure, and its content may be moved. where names the source in messages. [any]
 */
int nas_tensors_parse(char *memory, size_t bytes, const char *where, nas_tensor_file *file,
                      nas_error *err);

/* The tensor of that name, or NULL. [any] */
const nas_tensor *nas_tensors_find(const nas_tensor_file *file, const char *name);

/* Fails with NAS_ERR_NUMERIC, naming tensor and place, if a number of the file is not finite. path:
 * for the message. [any] */
int nas_tensors_finite(const nas_tensor_file *file, const char *path, nas_error *err);

/* A shape [ndim], of at most 4 dimensions, as text for messages: "3 x 3 x 16". [any] */
#define NAS_SHAPE_TEXT 96
void nas_tensor_shape_text(uint32_t ndim, const uint64_t *shape, char text[NAS_SHAPE_TEXT]);

/* Frees what a file holds and empties it; NULL is allowed. [any] */
void nas_tensors_free(nas_tensor_file *file);

#endif
