/* A checkpoint of the family is recognised and described, another one is not. */
#include "@ID@.c"

#include <assert.h>
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
    assert(create(NULL, NULL, &self, &err) == NAS_OK);
    assert(nas_family_recognise(self, &checkpoint, &mine, &err) == NAS_OK && mine);
    assert(nas_family_describe(self, &checkpoint, &network, &err) == NAS_OK);
    assert(network.classes == 10 && strstr(space, "\"expand\":[2,3,4]"));
    assert(nas_family_locate(self, &checkpoint, &target, name, &err) == NAS_OK);
    assert(strcmp(name, "blocks.1.depthwise.norm.running_var") == 0);
    checkpoint.n_tensors = 1;
    assert(nas_family_recognise(self, &checkpoint, &mine, &err) == NAS_OK && !mine);
    return 0;
}
