/* What an engine adds to its profile; without one all of this does nothing. */
#ifndef NAS_SUPERNET_ENGINE_PROFILE_H
#define NAS_SUPERNET_ENGINE_PROFILE_H

#include "supernet/engine_pass.h"

/* Seconds, for what comes. [main] */
double nas_profile_start(const nas_engine_pass *pass);

/* What was done since `start`: a unit's sweep, or pooling and the linear layers. [main] */
void nas_profile_unit(const nas_engine_plan *plan, const nas_engine_pass *pass, int index,
                      bool backward, double start);
void nas_profile_head(const nas_engine_plan *plan, const nas_engine_pass *pass, bool backward,
                      double start);

#endif
