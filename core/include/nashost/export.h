/* nashost plugin SDK: deployment formats (NAS_KIND_EXPORT). */
#ifndef NASHOST_EXPORT_H
#define NASHOST_EXPORT_H

#include <nashost/network.h>
#include <nashost/plugin.h>

typedef struct nas_export_api {
    uint32_t size;
    const char *extension; /* of the file, without the dot: "bin" */
    /* Writes a subnet with folded weights to path. The host gives a temporary path and renames it
     * once write() has succeeded. [main] */
    int (*write)(void *self, const nas_network *network, const char *path, nas_error *err);
    /* For a format of two files, else NULL: the extension of the second file, without the dot, and
     * the function that is then called instead of write(). The second file's final name is the
     * first one's with the other extension; path and second are temporary, as above. [main] */
    const char *second_extension;
    int (*write_two)(void *self, const nas_network *network, const char *path, const char *second,
                     nas_error *err);
} nas_export_api;

/* An exporter's extension, "nas.int8/1", which an instance has if its options ask for 8 bits. The
 * host then fills the networks' ranges and weight_bits, names the file PLATFORM.int8.EXT (with 7
 * bits PLATFORM.int8w7.EXT), and reports the accuracy of 8 bits; so the format must compute as
 * nashost/kit/int8.h does, or say in own_arithmetic that it does not. */
#define NAS_EXT_INT8 "nas.int8/1"
typedef struct nas_int8_api {
    uint32_t size;
    uint32_t weight_bits; /* 7 or 8, as in nas_network; 0: 8 */
    /* 1: the format's engine rounds in other places or has other scales. The host then describes
     * its file without scales, and as not tested. */
    uint32_t own_arithmetic;
} nas_int8_api;

/* An extension of the host (nas_host's), "nas.export/1": files of networks for a plugin that has to
 * hand them to another program. */
#define NAS_EXT_EXPORT "nas.export/1"
typedef struct nas_export_service {
    uint32_t size;
    /* Makes an instance of the export plugin `id` with its default options; the caller closes it.
     * [main] */
    int (*open)(const nas_host *host, const char *id, void **exporter, nas_error *err);
    /* The extension of its files, without the dot. */
    const char *(*extension)(void *exporter);
    /* Writes a network to path, and to a second file beside it where the format has two. Weights
     * that are missing are drawn at random, the same each time; a missing mean is 0, a missing
     * deviation 1, and ranges of activations -4 to 4: good enough to time the network. [worker] */
    int (*write)(void *exporter, const nas_network *network, const char *path, nas_error *err);
    void (*close)(void *exporter); /* NULL-safe [main] */
    /* As open, with the option "dtype" of that plugin; NULL: its default. [main] */
    int (*open_as)(const nas_host *host, const char *id, const char *dtype, void **exporter,
                   nas_error *err);
} nas_export_service;

#endif
