#include "metadata.h"

#include "schema.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static const char labels_name[] = "labels.txt";

/* ---- The FlatBuffer ---- */

static uint32_t put_normalisation(flat *f, const prepared *p) {
    uint32_t units = nas_flat_links(f, 1);
    uint32_t unit = nas_flat_table(
        f, (flat_field[]){{UNIT_TYPE, FLAT_BYTE, UNIT_NORMALIZATION}, {UNIT_OPTIONS, FLAT_LINK, 0}},
        2);
    nas_flat_point_item(f, units, 0, unit);
    uint32_t options = nas_flat_table(
        f, (flat_field[]){{NORMALIZATION_MEAN, FLAT_LINK, 0}, {NORMALIZATION_STD, FLAT_LINK, 0}},
        2);
    nas_flat_point(f, unit, UNIT_OPTIONS, options);
    nas_flat_point(f, options, NORMALIZATION_MEAN, nas_flat_list(f, &p->in_mean, 1, 4, 4));
    nas_flat_point(f, options, NORMALIZATION_STD, nas_flat_list(f, &p->in_std, 1, 4, 4));
    return units;
}

static uint32_t put_image_content(flat *f, uint32_t channels) {
    uint32_t color = channels == 3 ? COLOR_RGB : channels == 1 ? COLOR_GRAYSCALE : COLOR_UNKNOWN;
    uint32_t content = nas_flat_table(f,
                                      (flat_field[]){{CONTENT_TYPE, FLAT_BYTE, CONTENT_IMAGE},
                                                     {CONTENT_PROPERTIES, FLAT_LINK, 0}},
                                      2);
    nas_flat_point(f, content, CONTENT_PROPERTIES,
                   nas_flat_table(f, (flat_field[]){{IMAGE_COLOR_SPACE, FLAT_BYTE, color}}, 1));
    return content;
}

static uint32_t put_input(flat *f, const prepared *p) {
    uint32_t list = nas_flat_links(f, 1);
    uint32_t about = nas_flat_table(f,
                                    (flat_field[]){{ABOUT_TENSOR_NAME, FLAT_LINK, 0},
                                                   {ABOUT_TENSOR_CONTENT, FLAT_LINK, 0},
                                                   {ABOUT_TENSOR_PROCESS_UNITS, FLAT_LINK, 0}},
                                    3);
    nas_flat_point_item(f, list, 0, about);
    nas_flat_point(f, about, ABOUT_TENSOR_NAME, nas_flat_string(f, "image"));
    nas_flat_point(f, about, ABOUT_TENSOR_CONTENT, put_image_content(f, p->network.image.c));
    nas_flat_point(f, about, ABOUT_TENSOR_PROCESS_UNITS, put_normalisation(f, p));
    return list;
}

static uint32_t put_labels(flat *f) {
    uint32_t list = nas_flat_links(f, 1);
    uint32_t labels = nas_flat_table(
        f,
        (flat_field[]){{FILE_NAME, FLAT_LINK, 0}, {FILE_TYPE, FLAT_BYTE, FILE_TENSOR_AXIS_LABELS}},
        2);
    nas_flat_point_item(f, list, 0, labels);
    nas_flat_point(f, labels, FILE_NAME, nas_flat_string(f, labels_name));
    return list;
}

static uint32_t put_output(flat *f, const prepared *p) {
    const flat_field fields[] = {{ABOUT_TENSOR_NAME, FLAT_LINK, 0},
                                 {ABOUT_TENSOR_CONTENT, FLAT_LINK, 0},
                                 {ABOUT_TENSOR_FILES, FLAT_LINK, 0}};
    bool named = p->network.class_names != NULL;
    uint32_t list = nas_flat_links(f, 1), about = nas_flat_table(f, fields, named ? 3 : 2);
    nas_flat_point_item(f, list, 0, about);
    nas_flat_point(f, about, ABOUT_TENSOR_NAME, nas_flat_string(f, "logits"));
    uint32_t content = nas_flat_table(f,
                                      (flat_field[]){{CONTENT_TYPE, FLAT_BYTE, CONTENT_FEATURE},
                                                     {CONTENT_PROPERTIES, FLAT_LINK, 0}},
                                      2);
    nas_flat_point(f, about, ABOUT_TENSOR_CONTENT, content);
    nas_flat_point(f, content, CONTENT_PROPERTIES, nas_flat_table(f, NULL, 0));
    if (named) nas_flat_point(f, about, ABOUT_TENSOR_FILES, put_labels(f));
    return list;
}

void nas_tflite_put_metadata(flat *f, const prepared *p) {
    nas_flat_begin(f, TFLITE_METADATA_IDENTIFIER);
    uint32_t model = nas_flat_table(f,
                                    (flat_field[]){{METADATA_NAME, FLAT_LINK, 0},
                                                   {METADATA_DESCRIPTION, FLAT_LINK, 0},
                                                   {METADATA_SUBGRAPHS, FLAT_LINK, 0},
                                                   {METADATA_MIN_PARSER, FLAT_LINK, 0}},
                                    4);
    nas_flat_root(f, model);
    nas_flat_point(f, model, METADATA_NAME, nas_flat_string(f, "A subnet of nashost"));
    nas_flat_point(f, model, METADATA_DESCRIPTION, nas_flat_string(f, p->network.genome));
    nas_flat_point(f, model, METADATA_MIN_PARSER, nas_flat_string(f, "1.0.0"));
    uint32_t list = nas_flat_links(f, 1);
    nas_flat_point(f, model, METADATA_SUBGRAPHS, list);
    uint32_t subgraph = nas_flat_table(f,
                                       (flat_field[]){{ABOUT_SUBGRAPH_INPUTS, FLAT_LINK, 0},
                                                      {ABOUT_SUBGRAPH_OUTPUTS, FLAT_LINK, 0}},
                                       2);
    nas_flat_point_item(f, list, 0, subgraph);
    nas_flat_point(f, subgraph, ABOUT_SUBGRAPH_INPUTS, put_input(f, p));
    nas_flat_point(f, subgraph, ABOUT_SUBGRAPH_OUTPUTS, put_output(f, p));
}

/* ---- The archive ---- */

char *nas_tflite_labels(const nas_network *net) {
    if (!net->class_names) return NULL;
    size_t n = 1;
    for (uint32_t i = 0; i < net->classes; i++) n += strlen(net->class_names[i]) + 1;
    char *text = malloc(n), *to = text;
    for (uint32_t i = 0; text && i < net->classes; i++) {
        for (const char *c = net->class_names[i]; *c; c++) *to++ = *c == '\n' ? ' ' : *c;
        *to++ = '\n';
    }
    if (text) *to = 0;
    return text;
}

/* Numbers of ZIP's headers, least byte first. */
typedef struct header {
    unsigned char bytes[64];
    size_t used;
} header;

static void add_number(header *h, size_t bytes, size_t value) {
    for (size_t i = 0; i < bytes; i++, value >>= 8) h->bytes[h->used++] = (unsigned char)value;
}

static bool print_header(FILE *file, const header *h) {
    return fwrite(h->bytes, 1, h->used, file) == h->used;
}

/* What the local and the central header of a file say alike: stored as it is, on 1 January 1980. */
static void add_file(header *h, const char *content) {
    size_t bytes = strlen(content);
    add_number(h, 2, 20);    /* version 2.0 will do to read it */
    add_number(h, 2, 0x800); /* the name is UTF-8 */
    add_number(h, 2, 0);
    add_number(h, 2, 0);
    add_number(h, 2, 0x21);
    add_number(h, 4, crc32(0, (const unsigned char *)content, (uInt)bytes));
    add_number(h, 4, bytes);
    add_number(h, 4, bytes);
    add_number(h, 2, strlen(labels_name));
    add_number(h, 2, 0);
}

/* PKWARE's APPNOTE.TXT, 4.3: the file, the central directory, its end. */
bool nas_tflite_append(FILE *file, size_t before, const char *labels) {
    header local = {0}, central = {0}, end = {0};
    size_t bytes = strlen(labels), name = strlen(labels_name);
    add_number(&local, 4, 0x04034b50);
    add_file(&local, labels);
    add_number(&central, 4, 0x02014b50);
    add_number(&central, 2, 20);
    add_file(&central, labels);
    add_number(&central, 2, 0); /* no comment, disk 0, no attributes */
    add_number(&central, 2, 0);
    add_number(&central, 2, 0);
    add_number(&central, 4, 0);
    add_number(&central, 4, before);
    add_number(&end, 4, 0x06054b50);
    add_number(&end, 4, 0); /* one disk */
    add_number(&end, 2, 1);
    add_number(&end, 2, 1);
    add_number(&end, 4, central.used + name);
    add_number(&end, 4, before + local.used + name + bytes);
    add_number(&end, 2, 0);
    return print_header(file, &local) && fputs(labels_name, file) >= 0 &&
           fputs(labels, file) >= 0 && print_header(file, &central) &&
           fputs(labels_name, file) >= 0 && print_header(file, &end);
}
