/* Two ranks, parent and child: what one has reaches the other; one that died is told of. */
#include "@ID@.c"

#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>

/* Ends the test with what was expected of the plugin, and what it said, if it did. */
__attribute__((format(printf, 3, 4))) static void expect(bool good, const nas_error *err,
                                                         const char *what, ...) {
    if (good) return;
    va_list args;
    va_start(args, what);
    fprintf(stderr, "cluster plugin \"@ID@\": expected ");
    vfprintf(stderr, what, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", err->message[0] ? "; it said: " : "", err->message);
    exit(1);
}

static void play(const char *number) {
    const uint64_t ends[2] = {3, 5};
    char said[8] = "", parts[6] = ".....";
    void *self = NULL;
    nas_error err = {0};
    setenv("CLUSTER_RANK", number, 1);
    bool first = number[0] == '0';
    expect(create(NULL, NULL, &self, &err) == NAS_OK, &err, "create() to succeed");
    expect(rank(self) == (first ? 0 : 1) && ranks(self) == 2, &err,
           "rank %s of 2, found rank %u of %u", number, rank(self), ranks(self));
    if (first) strcpy(said, "hello");
    expect(broadcast(self, 0, said, sizeof said, &err) == NAS_OK, &err, "broadcast() to succeed");
    expect(!strcmp(said, "hello"), &err, "\"hello\" of broadcast(), found \"%.8s\"", said);
    memcpy(parts + (first ? 0 : 3), first ? "abc" : "de", first ? 3 : 2);
    expect(gather(self, parts, ends, &err) == NAS_OK, &err, "gather() to succeed");
    expect(!strcmp(parts, "abcde"), &err, "\"abcde\" of gather(), found \"%.6s\"", parts);
    if (first) {
        wait(NULL);
        expect(gather(self, parts, ends, &err) == NAS_ERR_IO && strstr(err.message, "rank 1"), &err,
               "gather() to name rank 1, which has died");
    }
    destroy(self);
}

int main(void) {
    char folder[] = "/tmp/@ID@-XXXXXX", command[64];
    if (!mkdtemp(folder)) return 1;
    setenv("CLUSTER_FOLDER", folder, 1);
    setenv("CLUSTER_RANKS", "2", 1);
    pid_t child = fork();
    play(child ? "0" : "1");
    destroy(NULL);
    if (!child) return 0;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) != 0;
}
