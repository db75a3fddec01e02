/* Runs one subnet at a time, forward and backward, on batches of images.
 *
 * A batch is one cohort of images, which batch norm normalises together, or several. Each is cut
 * into chunks of images, at most NAS_CHUNKS, by their number alone; every sum over images is taken
 * in their order, so results do not depend on the number of threads. */
#ifndef NAS_SUPERNET_ENGINE_H
#define NAS_SUPERNET_ENGINE_H

#include "supernet/batch.h"
#include "supernet/profile.h"
#include "supernet/resize.h"
#include "supernet/supernet.h"

typedef struct nas_engine nas_engine;

typedef enum nas_engine_mode {
    NAS_ENGINE_TRAIN = 0,   /* keeps what backward needs */
    NAS_ENGINE_FORWARD = 1, /* does not */
} nas_engine_mode;

/* Allocates for up to max_images images, in up to max_cohorts cohorts (1 .. NAS_MAX_COHORTS), of
 * any subnet of the space; height and width are the data set's. No call below allocates. [main] */
int nas_engine_create(const nas_supernet *supernet, nas_engine_mode mode, uint32_t max_images,
                      uint32_t max_cohorts, uint32_t height, uint32_t width, int threads,
                      nas_engine **engine, nas_error *err);

/* A second engine, for the same images and supernet in mode FORWARD, with the lender's threads and
 * one cohort. It keeps what it works on in the lender's memory if that is large enough: a forward
 * call of either undoes what the other one's left there for its backward call. The lender must
 * outlive it. [main] */
int nas_engine_create_within(const nas_engine *lender, uint32_t max_images, nas_engine **engine,
                             nas_error *err);
void nas_engine_destroy(nas_engine *engine); /* NULL-safe */

/* Bytes that the engine holds. */
size_t nas_engine_bytes(const nas_engine *engine);

/* From now on the calls with batch statistics, and their backward calls, are shared with other
 * processes; share must outlive the engine. [main] */
int nas_engine_share(nas_engine *engine, const nas_share *share, nas_error *err);

/* The calls that follow run this subnet. [main] */
void nas_engine_select(nas_engine *engine, const nas_arch *arch);

/* Runs the concatenation of inputs [n_inputs] through the subnet with weights (the flat array of
 * the supernet, or another of its shape) and writes logits [images][classes]. [main] */
void nas_engine_forward(nas_engine *engine, const nas_real *weights, const nas_input *inputs,
                        uint32_t n_inputs, const nas_forward *how, nas_real *logits);

/* Adds the gradient of the last forward call (mode TRAIN, batch statistics) to gradient [size], for
 * logits_grad [images][classes]. The same weights, images and array of
 * inputs must still be there. [main] */
void nas_engine_backward(nas_engine *engine, const nas_real *weights, const nas_real *logits_grad,
                         nas_real *gradient);

/* Batch norm calibration: runs the images (n of them, in batches of at most the engine's
 * max_images) with batch statistics and gathers the sample-weighted mean of each layer's mean and
 * unbiased variance (arXiv 1903.05134, section 3.3). stats must hold nas_engine_channels(). [main]
 */
void nas_engine_calibrate(nas_engine *engine, const nas_real *weights, const nas_real *images,
                          uint64_t n, nas_bn_stats *stats);

/* Channels of all batch norms of the largest subnet: what nas_bn_stats must hold. */
size_t nas_engine_channels(const nas_engine *engine);
int nas_bn_stats_create(const nas_engine *engine, nas_bn_stats *stats, nas_error *err);
void nas_bn_stats_free(nas_bn_stats *stats);

/* From now on every forward call with batch statistics and every backward call adds what it does to
 * the profile, which must outlive them; NULL: no longer. [main] */
void nas_engine_profile(nas_engine *engine, nas_profile *profile);

/* Logits of n images (any number) with calibrated statistics. [main] */
void nas_engine_infer(nas_engine *engine, const nas_real *weights, const nas_bn_stats *stats,
                      const nas_real *images, uint64_t n, nas_real *logits);

#endif
