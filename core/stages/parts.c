#include "stages/parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool starts_with(const char *name, const char *start) {
    return strncmp(name, start, strlen(start)) == 0;
}

static bool is_classifier(const nas_parameter *p) {
    return starts_with(p->name, "classifier.");
}

static bool after_pooling(const nas_parameter *p) {
    return is_classifier(p) || starts_with(p->name, "hidden");
}

static uint32_t stages_to_classifier(const nas_space *space, const nas_parameter *p) {
    static const char stage[] = "stage";
    if (starts_with(p->name, "stem.")) return space->n_stages + 1;
    if (!starts_with(p->name, stage)) return 0;
    return space->n_stages - (uint32_t)strtoul(p->name + sizeof stage - 1, NULL, 10);
}

static bool frozen(const nas_parameter *p, const nas_train_config *config, uint64_t step) {
    if (config->freeze_batch_norm && strstr(p->name, ".bn.")) return true;
    return step < (uint64_t)config->freeze_trunk_steps && !after_pooling(p);
}

static double rate(const nas_space *space, const nas_parameter *p, const nas_train_config *config) {
    double factor = is_classifier(p) ? config->lr_classifier : 1;
    return factor * pow(config->lr_decay_by_depth, stages_to_classifier(space, p));
}

void nas_parts_spans(const nas_supernet *supernet, const nas_train_config *config, uint64_t step,
                     nas_span *spans) {
    for (uint32_t i = 0; i < supernet->n_parameters; i++) {
        const nas_parameter *p = &supernet->parameters[i];
        bool anchored = p->decay && config->anchor > 0 && !is_classifier(p);
        double decay = anchored ? config->anchor : config->weight_decay;
        spans[i] =
            (nas_span){.offset = p->offset,
                       .count = p->count,
                       .rate = frozen(p, config, step) ? 0 : rate(&supernet->space, p, config),
                       .decay = p->decay ? decay : 0,
                       .anchored = anchored};
    }
}
