/* The sum over the channels of all convolutions and linear layers of half the mean square, over a
 * batch of labelled images, of a dL/da added up over the pixels, where a is what the layer computes
 * before batch norm and L the mean cross-entropy. */
#include <nashost/kit/proxy.h>

/* a dL/da of a channel of an image, over the pixels; values [pixels][channels]. */
static double channel(const double *a, const double *grad, size_t pixels, size_t channels) {
    double total = 0;
    for (size_t i = 0; i < pixels * channels; i += channels) total += a[i] * grad[i];
    return total;
}

static void add(void *context, const nas_probe_layer *at) {
    double *total = context;
    nas_shape out = at->layer->out;
    size_t pixels = (size_t)out.h * out.w;
    if (!at->weight) return;
    for (size_t n = 0; n < at->images; n++) {
        size_t from = n * pixels * out.c;
        for (size_t c = 0; c < out.c; c++) {
            double sum = channel(at->sum + from + c, at->sum_grad + from + c, pixels, out.c);
            *total += sum * sum / 2 / at->images;
        }
    }
}

static int score(void *self, const nas_subnet *subnet, double *value, nas_error *err) {
    return nas_proxy_gradients(self, subnet, add, value, err);
}

static const nas_option options[] = {NAS_PROXY_LABELLED_OPTIONS, {0}};

static const nas_plugin plugin = {
    NAS_PROXY(score),
    .id = "fisher",
    .version = "0.1.0",
    .summary = "Fisher information of the channels of every layer",
    .license = "Apache-2.0",
    .source = "https://arxiv.org/abs/1801.05787, https://arxiv.org/abs/1906.04113; as a score: "
              "https://arxiv.org/abs/2101.08134",
    .options = options,
    .config_size = sizeof(nas_proxy_labelled),
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
