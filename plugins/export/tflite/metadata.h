/* What LiteRT's tools know of a model besides its graph: how to normalise an image, and names of
 * classes. These stand in a file "labels.txt" of a ZIP archive behind the model. */
#ifndef NASHOST_TFLITE_METADATA_H
#define NASHOST_TFLITE_METADATA_H

#include "flat.h"
#include "prepare.h"

#include <stdio.h>

/* The FlatBuffer that stands in the model's buffer "TFLITE_METADATA". The caller frees f with
 * nas_flat_free. */
void nas_tflite_put_metadata(flat *f, const prepared *p);

/* The text of labels.txt, a line for each class; NULL: the network has no names, or out of memory.
 * The caller frees. */
char *nas_tflite_labels(const nas_network *net);

/* Appends the archive to a file that has `before` bytes. False where writing failed. */
bool nas_tflite_append(FILE *file, size_t before, const char *labels);

#endif
