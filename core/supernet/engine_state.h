/* The engine's inside, for engine.c and the tests. */
#ifndef NAS_SUPERNET_ENGINE_STATE_H
#define NAS_SUPERNET_ENGINE_STATE_H

#include "supernet/engine_pass.h"

typedef struct nas_engine {
    const nas_supernet *supernet;
    const struct nas_engine *lender; /* whose threads it uses, and arena if large enough; or NULL */
    nas_pool *pool;                  /* the lender's if there is one */
    nas_engine_plan plan;
    nas_engine_memory memory;
    nas_engine_pass pass;
} nas_engine;

#endif
