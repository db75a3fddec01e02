/* A checkpoint of the family is recognised and described, another one is not. */
#include "@ID@.c"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const nas_checkpoint_tensor tensors[] = {
    {"stem.conv.weight", 4, {16, 3, 3, 3}},
    {"blocks.0.depthwise.conv.weight", 4, {16, 1, 3, 3}},
    {"blocks.0.project.conv.weight", 4, {8, 16, 1, 1}},
    {"blocks.1.expand.conv.weight", 4, {32, 8, 1, 1}},
    {"blocks.1.depthwise.conv.weight", 4, {32, 1, 5, 5}},
    {"blocks.1.project.conv.weight", 4, {24, 32, 1, 1}},
    {"head.conv.weight", 4, {64, 24, 1, 1}},
    {"head.fc.weight", 2, {10, 64, 0, 0}},
};

/* Ends the test with what was expected of the plugin, and what it said, if it did. */
__attribute__((format(printf, 3, 4))) static void expect(bool good, const nas_error *err,
                                                         const char *what, ...) {
    if (good) return;
    va_list args;
    va_start(args, what);
    fprintf(stderr, "import plugin \"@ID@\": expected ");
    vfprintf(stderr, what, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", err->message[0] ? "; it said: " : "", err->message);
    exit(1);
}

int main(void) {
    nas_checkpoint checkpoint = {sizeof checkpoint, sizeof *tensors,
                                 sizeof tensors / sizeof *tensors, tensors};
    const nas_import_target target = {sizeof target, 1, "depthwise", "variance"};
    char space[4096], name[NAS_IMPORT_NAME];
    nas_import_network network = {
        .size = sizeof network, .space = space, .space_size = sizeof space};
    nas_error err = {0};
    void *self = NULL;
    bool mine = false;
    expect(create(NULL, NULL, &self, &err) == NAS_OK, &err, "create() to succeed");
    expect(nas_family_recognise(self, &checkpoint, &mine, &err) == NAS_OK && mine, &err,
           "a checkpoint of its family to be recognised");
    expect(nas_family_describe(self, &checkpoint, &network, &err) == NAS_OK, &err,
           "describe() to succeed");
    expect(network.classes == 10, &err, "10 classes, found %u", network.classes);
    expect(strstr(space, "\"expand\":[2,3,4]") != NULL, &err,
           "\"expand\":[2,3,4] in the space, found %s", space);
    expect(nas_family_locate(self, &checkpoint, &target, name, &err) == NAS_OK, &err,
           "locate() to succeed");
    expect(strcmp(name, "blocks.1.depthwise.norm.running_var") == 0, &err,
           "the variance in blocks.1.depthwise.norm.running_var, found %s", name);
    checkpoint.n_tensors = 1;
    expect(nas_family_recognise(self, &checkpoint, &mine, &err) == NAS_OK && !mine, &err,
           "a checkpoint of another family not to be recognised");
    return 0;
}
