/* A call into a plugin: what it returned, what it said, and what it did to the process. */
#ifndef NAS_HOST_CALL_H
#define NAS_HOST_CALL_H

#include "host/host_impl.h"

/* A call in progress. err is what the plugin is given to fill. */
typedef struct nas_call {
    const nas_instance *plugin;
    const char *function;
    nas_error err;
} nas_call;

/* Begins a call of the function of that name, and tells the services of it. plugin and function are
 * borrowed until the end. [main] */
void nas_call_begin(nas_call *call, const nas_instance *plugin, const char *function);

/* Ends it. status is what the function returned, and is what decides: 0 is success, whatever the
 * plugin left in err. A failure has the plugin's message, or says that it gave none; a status that
 * has no meaning for the host is NAS_ERR_PLUGIN, and so is NAS_ERR_INFEASIBLE unless the function
 * is "cost". A call that changed the process (host/process.h) failed, and what it changed is put
 * back. [main] */
int nas_call_end(nas_call *call, int status, nas_error *err);

/* The same for a function that returns no status. */
static inline int nas_call_done(nas_call *call, nas_error *err) {
    return nas_call_end(call, NAS_OK, err);
}

/* What becomes of a failure, as above: the error of a call that returned status, not 0, and said
 * why. [any] */
int nas_call_failed(const nas_instance *plugin, const char *function, int status, nas_error *why,
                    nas_error *err);

#endif
