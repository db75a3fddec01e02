/* A user's image files, read as a data set's are: by a plugin that can (nashost/photo.h). */
#ifndef NAS_RUN_PHOTOS_H
#define NAS_RUN_PHOTOS_H

#include "host/instance.h"

#include <nashost/photo.h>

typedef struct nas_photos {
    size_t n;
    char **paths;    /* [n] */
    uint8_t *pixels; /* [n][side][side][channels] */
} nas_photos;

/* What a data set's own plugin does with files; NULL: it reads none. [any] */
const nas_photo_api *nas_photo_of(const nas_instance *dataset);

/* Reads one image file, or all of a folder and the folders in it, in the order of their names'
 * bytes, as `dataset` does, or else as the first data set plugin that can. The caller frees. [main]
 */
int nas_photos_read(nas_registry *registry, const nas_instance *dataset, const char *input,
                    uint32_t side, uint32_t channels, nas_photos *photos, nas_error *err);
void nas_photos_free(nas_photos *photos); /* zeroed is fine [any] */

#endif
