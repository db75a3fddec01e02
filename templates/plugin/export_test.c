/* A line for each layer, with what the layer holds; and a path that cannot be written is told. */
#include "@ID@.c"

#include <stdarg.h>

/* Ends the test with what was expected of the plugin, and what it said, if it did. */
__attribute__((format(printf, 3, 4))) static void expect(bool good, const nas_error *err,
                                                         const char *what, ...) {
    if (good) return;
    va_list args;
    va_start(args, what);
    fprintf(stderr, "export plugin \"@ID@\": expected ");
    vfprintf(stderr, what, args);
    va_end(args);
    fprintf(stderr, "%s%s\n", err->message[0] ? "; it said: " : "", err->message);
    exit(1);
}

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
    static const char *const expected[] = {"layer;op;in;out;macs;weights;sum\n",
                                           "classifier;linear;1x1x3;1x1x1;3;3;6.5\n"};
    char line[2][200];
    const char *path = "test_@ID@.csv";
    void *self = NULL;
    nas_error err = {0};
    expect(create(NULL, &given, &self, &err) == NAS_OK, &err, "create() to succeed");
    expect(write_network(self, &network, path, &err) == NAS_OK, &err, "write() to succeed");
    FILE *file = fopen(path, "r");
    expect(file != NULL, &err, "write() to make the file %s", path);
    for (int i = 0; i < 2; i++)
        expect(fgets(line[i], sizeof line[i], file) != NULL, &err, "2 lines in the file, found %d",
               i);
    fclose(file);
    remove(path);
    for (int i = 0; i < 2; i++)
        expect(strcmp(line[i], expected[i]) == 0, &err, "line %d to be %sfound %s", i, expected[i],
               line[i]);
    expect(write_network(self, &network, "no/such/folder/x", &err) == NAS_ERR_IO, &err,
           "write() to a folder that is not there to fail with NAS_ERR_IO");
    destroy(self);
    destroy(NULL);
    return 0;
}
