/* Once-for-all's MobileNetV3 supernet (arXiv 1908.09791), by the names of its authors' code. */
#include <nashost/kit/family.h>

static const nas_family_part parts[] = {
    {"stem", "first_conv.conv", "first_conv.bn", NULL},
    {"head", "final_expand_layer.conv", "final_expand_layer.bn", NULL},
    {"hidden0", "feature_mix_layer.conv", NULL, NULL},
    {"classifier", "classifier.linear", NULL, NULL},
    {0},
};

/* The first block is not elastic. */
static const nas_family_part first_parts[] = {
    {"depthwise", "depth_conv.conv", "depth_conv.bn", NULL},
    {"project", "point_linear.conv", "point_linear.bn", NULL},
    {0},
};

static const nas_family_part block_parts[] = {
    {"expand", "inverted_bottleneck.conv.conv", "inverted_bottleneck.bn.bn", NULL},
    {"depthwise", "depth_conv.conv.conv", "depth_conv.bn.bn", "depth_conv.conv"},
    {"reduce", "depth_conv.se.fc.reduce", NULL, NULL},
    {"excite", "depth_conv.se.fc.expand", NULL, NULL},
    {"project", "point_linear.conv.conv", "point_linear.bn.bn", NULL},
    {0},
};

static const nas_family family = {
    .name = "ofa-mbv3",
    .n_stages = 6,
    .stages =
        {{1, "relu"}, {2, "relu"}, {2, "relu"}, {2, "h-swish"}, {1, "h-swish"}, {2, "h-swish"}},
    .activation = "h-swish",
    .hidden_activation = "h-swish",
    .squeeze_excite = "{\"round_to\": 8}",
    .epsilon = 1e-5,
    .padding = "symmetric",
    .mean = {0.485, 0.456, 0.406},
    .std = {0.229, 0.224, 0.225},
    .kernel_transform = true,
    .elastic = true,
    .parts = parts,
    .block_parts = block_parts,
    .first_parts = first_parts,
    .block_prefix = "blocks.",
    .block_suffix = ".conv.",
};

static int create(const nas_host *host, const void *config, void **self, nas_error *err) {
    (void)host, (void)config, (void)err;
    return nas_family_create(&family, self);
}

static const nas_plugin plugin = {
    NAS_FAMILY_PLUGIN,
    .id = "ofa_mobilenetv3",
    .version = "0.1.0",
    .summary = "once-for-all's MobileNetV3 supernet, of any width, with its kernel matrices",
    .source = "https://arxiv.org/abs/1908.09791",
    .create = create,
};

const nas_plugin *nas_plugin_entry(void) {
    return &plugin;
}
