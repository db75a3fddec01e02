/* A look at a shared object before the dynamic linker maps it: the linker crashes on a file that
 * was cut short, and its messages do not say what to do. */
#ifndef NAS_HOST_ELF_FILE_H
#define NAS_HOST_ELF_FILE_H

#include <nashost/plugin.h>

/* Fails with NAS_ERR_PLUGIN unless path is a regular file that holds a whole ELF shared object for
 * this machine. Messages do not name the file. [any] */
int nas_elf_check(const char *path, nas_error *err);

#endif
