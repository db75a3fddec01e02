/* How fast each part of a network learns, and towards what its weights decay. */
#ifndef NAS_STAGES_PARTS_H
#define NAS_STAGES_PARTS_H

#include "host/config.h"
#include "nn/optimizer.h"
#include "supernet/supernet.h"

/* Fills spans [supernet->n_parameters], one for each parameter, as the train section asks for at a
 * step: a function of these alone, so that a resumed training goes on alike.
 *
 * The rate is lr_decay_by_depth ^ d, where d counts the stages from here to the classifier: 0 for
 * what comes after the last stage, 1 for that stage, and one more for each before it, the stem
 * being the first; times lr_classifier for the classifier. It is 0 for what is frozen. [any] */
void nas_parts_spans(const nas_supernet *supernet, const nas_train_config *config, uint64_t step,
                     nas_span *spans);

#endif
