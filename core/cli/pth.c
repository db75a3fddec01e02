#include "cli/pth.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCRIPT "scripts/pth-to-safetensors"

extern char **environ;

int nas_pth_recognise(const char *path, bool *pth, nas_error *err) {
    unsigned char start[4] = {0};
    struct stat about;
    *pth = false;
    if (stat(path, &about) != 0)
        return nas_fail(err, NAS_ERR_INPUT, "%s: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return nas_fail(err, NAS_ERR_INPUT, "%s: expected a file of weights, found %s", path,
                        S_ISDIR(about.st_mode) ? "a folder" : "no regular file");
    FILE *file = fopen(path, "rb");
    if (!file) return nas_fail(err, NAS_ERR_INPUT, "%s: %s", path, strerror(errno));
    size_t n = fread(start, 1, sizeof start, file);
    fclose(file);
    bool zip = n == 4 && memcmp(start, "PK\3\4", 4) == 0;
    bool pickle = n == 4 && start[0] == 0x80 && start[1] >= 2 && start[1] <= 5 &&
                  memchr("\x8a}cX\x95", start[2], 5) != NULL;
    *pth = zip || pickle;
    return NAS_OK;
}

/* Runs the script, which keeps its stderr; its exit status, or -1 with errno. */
static int run_script(char *script, const char *path, const char *out) {
    char python[] = "python3", isolated[] = "-I", *in = strdup(path), *to = strdup(out);
    char *const words[] = {python, isolated, script, in, to, NULL};
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = -1, code = in && to ? posix_spawn_file_actions_init(&actions) : ENOMEM;
    if (!code) {
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        code = posix_spawnp(&child, python, &actions, NULL, words, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    free(in);
    free(to);
    errno = code;
    if (code) return -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int nas_pth_convert(const nas_registry *registry, const char *path, const char *out,
                    nas_error *err) {
    char *script = nas_registry_file(registry, SCRIPT);
    if (!script)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: is PyTorch's, and " SCRIPT
                        " that reads it is beside no plugins.json; convert it to safetensors",
                        path);
    int status = run_script(script, path, out);
    free(script);
    if (!status) return NAS_OK;
    if (status < 0 && errno == ENOENT)
        return nas_fail(err, NAS_ERR_INPUT,
                        "%s: is PyTorch's, and needs python3 to be read, which is not there; "
                        "install it, or convert the file to safetensors elsewhere",
                        path);
    if (status < 0)
        return nas_fail(err, NAS_ERR_IO, "%s: cannot start python3: %s", path, strerror(errno));
    return nas_fail(err, status == 2 ? NAS_ERR_INPUT : NAS_ERR_IO,
                    "%s: cannot be read as a file of PyTorch's tensors; the line above says why",
                    path);
}
