/* Profiles that are named like presets of spaces: "phone-little". */
#ifndef NASHOST_ROOFLINE_NAMED_H
#define NASHOST_ROOFLINE_NAMED_H

#include <nashost/plugin.h>

#include <limits.h>

/* The file of a profile into file: path itself where there is such a file, else the one of its last
 * part's name that came with nashost. NAS_ERR_INPUT tells which names there are. */
int nas_roofline_find(const nas_host *host, const char *path, char file[PATH_MAX], nas_error *err);

#endif
