/* Two ranks, parent and child: what one has reaches the other; one that died is told of. */
#include "@ID@.c"

#include <assert.h>
#include <sys/wait.h>

static void play(const char *number) {
    const uint64_t ends[2] = {3, 5};
    char said[8] = "", parts[6] = ".....";
    void *self = NULL;
    nas_error err = {0};
    setenv("CLUSTER_RANK", number, 1);
    bool first = number[0] == '0';
    assert(create(NULL, NULL, &self, &err) == NAS_OK);
    assert(rank(self) == (first ? 0 : 1) && ranks(self) == 2);
    if (first) strcpy(said, "hello");
    assert(broadcast(self, 0, said, sizeof said, &err) == NAS_OK && !strcmp(said, "hello"));
    memcpy(parts + (first ? 0 : 3), first ? "abc" : "de", first ? 3 : 2);
    assert(gather(self, parts, ends, &err) == NAS_OK && !strcmp(parts, "abcde"));
    if (first) {
        assert(wait(NULL) > 0);
        assert(gather(self, parts, ends, &err) == NAS_ERR_IO && strstr(err.message, "rank 1"));
    }
    destroy(self);
}

int main(void) {
    char folder[] = "/tmp/@ID@-XXXXXX", command[64];
    assert(mkdtemp(folder));
    setenv("CLUSTER_FOLDER", folder, 1);
    setenv("CLUSTER_RANKS", "2", 1);
    pid_t child = fork();
    play(child ? "0" : "1");
    destroy(NULL);
    if (!child) return 0;
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert(system(command) == 0);
    return 0;
}
