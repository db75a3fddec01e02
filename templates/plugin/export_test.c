/* A line for each layer, with what the layer holds; and a path that cannot be written is told. */
#include "@ID@.c"

#include <assert.h>

int main(void) {
    const config given = {.separator = ";"};
    const float weight[] = {1, 2, 3.5f};
    const nas_layer layers[] = {{.op = NAS_OP_LINEAR,
                                 .name = "classifier",
                                 .in = {1, 1, 3},
                                 .out = {1, 1, 1},
                                 .macs = 3,
                                 .weights = 3,
                                 .weight = weight}};
    const nas_network network = {
        .size = sizeof network, .layer_size = sizeof *layers, .n_layers = 1, .layers = layers};
    char line[2][200];
    const char *path = "test_@ID@.csv";
    void *self = NULL;
    nas_error err = {0};
    assert(create(NULL, &given, &self, &err) == NAS_OK);
    assert(write_network(self, &network, path, &err) == NAS_OK);
    FILE *file = fopen(path, "r");
    assert(file && fgets(line[0], sizeof line[0], file) && fgets(line[1], sizeof line[1], file));
    fclose(file);
    remove(path);
    assert(strcmp(line[0], "layer;op;in;out;macs;weights;sum\n") == 0);
    assert(strcmp(line[1], "classifier;linear;1x1x3;1x1x1;3;3;6.5\n") == 0);
    assert(write_network(self, &network, "no/such/folder/x", &err) == NAS_ERR_IO);
    destroy(self);
    destroy(NULL);
    return 0;
}
