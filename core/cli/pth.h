/* PyTorch's files, which a Python script that comes with the program converts. */
#ifndef NAS_CLI_PTH_H
#define NAS_CLI_PTH_H

#include "host/registry.h"

/* Whether a file begins as those do that torch.save writes: a zip archive or a pickle. [any] */
int nas_pth_recognise(const char *path, bool *pth, nas_error *err);

/* Writes the tensors of such a file as a safetensors file, by scripts/pth-to-safetensors beside a
 * manifest of the registry; nothing in the file is executed. What the script finds wrong it says on
 * stderr. [main] */
int nas_pth_convert(const nas_registry *registry, const char *path, const char *out,
                    nas_error *err);

#endif
