#include "base/embedded.h"

#include <string.h>

const char *nas_embedded_text(const char *name) {
    for (const nas_embedded *file = nas_embedded_files; file->name; file++)
        if (strcmp(file->name, name) == 0) return file->text;
    return "";
}
