/* The program's version; the plugin ABI has its own. */
#ifndef NAS_BASE_VERSION_H
#define NAS_BASE_VERSION_H

#define NASHOST_VERSION "0.1.0"

#endif
