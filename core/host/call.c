#include "host/call.h"

#include "host/host_impl.h"

#include <string.h>

static void tell(const nas_instance *plugin, const char *function) {
    const nas_services *services = plugin->host ? plugin->host->services : NULL;
    if (services && services->calling)
        services->calling(services->context, plugin->plugin->id, function);
}

void nas_call_begin(nas_call *call, const nas_instance *plugin, const char *function) {
    *call = (nas_call){.plugin = plugin, .function = function};
    tell(plugin, function);
}

static bool known(const char *function, int status) {
    if (status == NAS_ERR_INFEASIBLE) return strcmp(function, "cost") == 0;
    return status >= NAS_ERR_INPUT && status <= NAS_ERR_NUMERIC && status != NAS_ERR_INTERRUPTED;
}

int nas_call_failed(const nas_instance *plugin, const char *function, int status, nas_error *why,
                    nas_error *err) {
    why->message[sizeof why->message - 1] = 0;
    int code = known(function, status) ? status : NAS_ERR_PLUGIN;
    if (why->message[0]) return nas_fail(err, code, "%s", why->message);
    return nas_fail(err, code, "plugin \"%s\": %s failed: it gave no reason (status %d)",
                    plugin->plugin->id, function, status);
}

int nas_call_end(nas_call *call, int status, nas_error *err) {
    const nas_instance *plugin = call->plugin;
    nas_error changed = {0};
    tell(plugin, NULL);
    int broke = plugin->host ? nas_process_restore(&plugin->host->process, call->function, &changed)
                             : NAS_OK;
    if (broke)
        return nas_fail(err, broke, "plugin \"%s\": %.900s", plugin->plugin->id, changed.message);
    return status ? nas_call_failed(plugin, call->function, status, &call->err, err) : NAS_OK;
}
