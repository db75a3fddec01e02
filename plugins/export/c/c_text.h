/* Constants as C source. */
#ifndef NASHOST_C_TEXT_H
#define NASHOST_C_TEXT_H

#include <stdint.h>
#include <stdio.h>

/* A string literal of ASCII alone, which neither quotes nor trigraphs end early. */
void nas_c_string(FILE *file, const char *text);

/* A float; nine digits are enough to give it back, and "1" alone would be none. */
void nas_c_float(FILE *file, float value);

/* An empty line, and a text with a word in the place of every "@". */
void nas_c_template(FILE *file, const char *text, const char *word);

/* The same without the empty line. */
void nas_c_line(FILE *file, const char *text, const char *word);

/* Element i of an array. */
typedef int (*nas_c_at_fn)(const void *values, uint64_t i);

int nas_c_byte_at(const void *values, uint64_t i); /* int8_t values */
int nas_c_int_at(const void *values, uint64_t i);  /* int32_t values */

/* An array's n whole numbers, 16 to a line: "{...};" and the line's end. */
void nas_c_list(FILE *file, nas_c_at_fn at, const void *values, uint64_t n);

#endif
