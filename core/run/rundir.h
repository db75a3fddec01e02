/* The run directory: everything that it holds was made by the pipeline.json that stands in it.
 *
 *   pipeline.json         as resolved, with every default
 *   split.json            which images were labelled
 *   data.json             what the data set was, see run/data_file.h
 *   metrics.jsonl         the course of the training, see run/metrics.h
 *   tensorboard/          the same and the searches' scores, see run/events.h
 *   checkpoint/           an interrupted training, see run/checkpoint.h
 *   supernet.safetensors  the trained weights
 *   search/NAME.jsonl     every candidate of a platform, see run/candidate.h
 *   family/NAME.EXT       the exported subnets
 *   family.json           the answer, see stages/report.h
 *   report.html           all of this in pictures, see stages/html.h
 *   next/                 what a changed pipeline has not finished yet, see run/staging.h */
#ifndef NAS_RUN_RUNDIR_H
#define NAS_RUN_RUNDIR_H

#include "run/request.h"

#include <jansson.h>

/* out/name into path, which holds size bytes; too long a path is an error. [any] */
int nas_rundir_path(const char *out, const char *name, char *path, size_t size, nas_error *err);

/* Fails unless out holds the file; command is the subcommand that makes it, for the message. [any]
 */
int nas_rundir_needs(const char *out, const char *name, const char *command, nas_error *err);

/* The keys of a resolved pipeline that decide the trained weights. The caller owns the result;
 * NULL: out of memory. [any] */
json_t *nas_rundir_training(const json_t *pipeline);

/* Fails unless `before`, of nas_rundir_training, is that of the pipeline; the message, which starts
 * with where, names the key and both values. [any] */
int nas_rundir_same_training(const json_t *before, const json_t *pipeline, const char *where,
                             nas_error *err);

#define NAS_RUNDIR_PATH 4096 /* what the stages give a path */

/* out/search/PLATFORM.jsonl into path [NAS_RUNDIR_PATH]. [any] */
int nas_rundir_search(const char *out, const char *platform, char *path, nas_error *err);

/* Makes the directory and keeps other runs out of it until *lock is closed; fails if one is in it.
 * [any] */
int nas_rundir_lock(const char *out, int *lock, nas_error *err);

/* How a pipeline differs from the one that the directory was made by. */
typedef enum nas_rundir_kind {
    NAS_RUNDIR_NEW,       /* there is none */
    NAS_RUNDIR_SAME,      /* it does not */
    NAS_RUNDIR_LATER,     /* in search, platforms, export, train.log_every, train.checkpoint_* */
    NAS_RUNDIR_UNTRAINED, /* in the training, of which there are no weights yet */
} nas_rundir_kind;

typedef struct nas_rundir_change {
    nas_rundir_kind kind;
    bool trained;   /* the directory has a supernet */
    json_t *before; /* its pipeline; NULL: none */
} nas_rundir_change;

/* Compares a resolved pipeline with the directory's, and changes nothing. Where a key of the
 * training differs and there is a supernet or a checkpoint, the error names the key and both
 * values. The caller frees the change, but not on failure. [any] */
int nas_rundir_compare(const char *out, const json_t *resolved, nas_rundir_change *change,
                       nas_error *err);
void nas_rundir_change_free(nas_rundir_change *change);

/* Whether a platform of the pipeline has to be searched again. [any] */
bool nas_rundir_stale(const nas_rundir_change *change, const json_t *resolved,
                      const char *platform);

/* Whether the directory has a supernet or a checkpoint. [any] */
bool nas_rundir_begun(const char *out);

/* Whether the directory has a split.json, and keeps it. anew: the run begins anew, by another
 * pipeline or with other data; then one that was drawn goes, one that a user put there stays. [any]
 */
bool nas_rundir_split_stays(const char *out, bool anew);

/* Removes what a run left that has no weights yet, so that it begins anew. [any] */
int nas_rundir_forget(const char *out, nas_error *err);

/* Writes pipeline.json into the directory, after removing what the change makes stale: searches of
 * platforms that changed or went (all, if search differs) and family.json, and, where the training
 * differs, what an unfinished one left. [main] */
int nas_rundir_open(const char *out, const json_t *resolved, const nas_rundir_change *change,
                    nas_error *err);

/* Fails unless the run directory holds what the stages before request->from leave: a finished
 * training, and each platform's search. The message names the file that is missing and the command
 * that makes it. [any] */
int nas_rundir_ready(const nas_run_request *request, nas_error *err);

/* Fails unless out holds what a finished training leaves: pipeline.json, split.json and
 * supernet.safetensors. [any] */
int nas_rundir_trained(const char *out, nas_error *err);

#endif
