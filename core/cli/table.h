/* Tables and numbers for people. */
#ifndef NAS_CLI_TABLE_H
#define NAS_CLI_TABLE_H

#include <nashost/plugin.h>

typedef struct nas_cell {
    char text[240];
} nas_cell;

/* Rows of cells; row 0 is the heading. */
typedef struct nas_table {
    size_t rows, columns;
    nas_cell *cells; /* [rows][columns] */
} nas_table;

int nas_table_create(size_t rows, size_t columns, nas_table *table, nas_error *err);
void nas_table_free(nas_table *table); /* zeroed is fine */

/* Fills the heading. titles [columns] */
void nas_table_head(nas_table *table, const char *const *titles);

/* The cell to be written to. */
nas_cell *nas_table_at(nas_table *table, size_t row, size_t column);

/* Prints the rows, a line under the heading, columns aligned: cells that start with a digit, and
 * "-", to the right, others to the left. [main] */
void nas_table_print(const nas_table *table, FILE *stream);

/* Three digits and a unit: "340.7 k", "12.3 M"; "96 KiB"; "1.23 ms". "-" if not known (NaN,
 * UINT64_MAX). */
nas_cell nas_text_count(uint64_t value);
nas_cell nas_text_bytes(uint64_t value);
nas_cell nas_text_value(double value, const char *unit);
nas_cell nas_text_percent(double share);

#endif
