/* A format: a table of the subnet's layers as text, for a look at it or for a script. */
#include <nashost/export.h>
#include <nashost/kit/layers.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Filled by the table below before create() is called. */
typedef struct config {
    const char *separator; /* the host's, until destroy() */
} config;

static const nas_option options[] = {
    NAS_STRING("separator", config, separator, "\",\"", "text between one column and the next"),
    {0},
};

static double sum(const float *values, uint64_t n) {
    double total = 0;
    for (uint64_t i = 0; i < n && values; i++) total += (double)values[i];
    return total;
}

static void write_layer(FILE *file, const char *s, const nas_layer *layer) {
    fprintf(file, "%s%s%s%s%ux%ux%u%s%ux%ux%u%s%llu%s%llu%s%g\n", layer->name, s,
            nas_op_name(layer->op), s, layer->in.h, layer->in.w, layer->in.c, s, layer->out.h,
            layer->out.w, layer->out.c, s, (unsigned long long)layer->macs, s,
            (unsigned long long)layer->weights, s, sum(layer->weight, layer->weights));
}

/* Writes to a temporary path, which the host renames when all went well. */
static int write_network(void *self, const nas_network *network, const char *path, nas_error *err) {
    const char *s = ((const config *)self)->separator;
    FILE *file = fopen(path, "w");
    if (!file) return nas_fail(err, NAS_ERR_IO, "%s: %s", path, strerror(errno));
    fprintf(file, "layer%sop%sin%sout%smacs%sweights%ssum\n", s, s, s, s, s, s);
    for (uint32_t i = 0; i < network->n_layers; i++)
        write_layer(file, s, nas_network_layer(network, i));
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed)
        return nas_fail(err, NAS_ERR_IO, "%s: cannot be written", path);
    return NAS_OK;
}

static int create(const nas_host *host, const void *options_given, void **self, nas_error *err) {
    (void)host;
    config *me = malloc(sizeof *me);
    if (!me) return nas_fail(err, NAS_ERR_MEMORY, "@ID@: out of memory");
    *me = *(const config *)options_given;
    *self = me;
    return NAS_OK;
}

static void destroy(void *self) {
    free(self);
}

static const nas_export_api api = {
    .size = sizeof api, .extension = "layers.csv", .write = write_network};

static const nas_plugin plugin = {
    NAS_DESCRIPTOR,
    .kind = NAS_KIND_EXPORT,
    .id = "@ID@",
    .version = "0.1.0",
    .summary = "a table of the layers as text",
    .license = "Apache-2.0",
    .source = "where the method is described",
    .options = options,
    .config_size = sizeof(config),
    .create = create,
    .destroy = destroy,
    .vtable = &api,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
