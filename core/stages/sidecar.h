/* FILE.json beside an exported FILE: all that a program needs which runs the network on pictures,
 * and an example to check it by.
 *
 *   {"files": [{"name", "bytes"}], "format", "about", "options", "weight_bits", "genome",
 *    "classes": [NAME, ...] or a number,
 *    "image": {"height", "width", "channels", "colours": "RGB" or "grey",
 *              "from_pictures": {"side", "crop", "resize", "colour"} or null,
 *              "then_resized": null or in words},
 *    "normalisation": {"mean", "std", "in_network": true},
 *    "int8": {"image": {"scale", "zero"},
 *             "layers": [{"name", "scale", "zero", "weight_scales"}]} or null,
 *    "sample": {"pixels", "label", "logits", "answer"},
 *    "sizes": {"macs", "params", "peak_bytes", "flash_bytes"},
 *    "tested": {"images", "top1", "by"} or null}
 *
 * A sample's pixels are bytes [height][width][channels] in Base64, of a training image; its logits
 * are the host's. docs/export.md tells what each key means. */
#ifndef NAS_STAGES_SIDECAR_H
#define NAS_STAGES_SIDECAR_H

#include "stages/folded.h"

typedef struct nas_sidecar {
    nas_evaluator *evaluator;
    const nas_folded *folded; /* with ranges and weight_bits, if the export is in 8 bits */
    const nas_instance *plugin;
    const char *path; /* the exported file, which is there */
    double top1;      /* of the export's arithmetic on test images; NaN: not tested */
    uint64_t images;  /* that it was tested with */
} nas_sidecar;

/* Writes PATH.json. [main] */
int nas_sidecar_write(const nas_sidecar *sidecar, nas_error *err);

#endif
