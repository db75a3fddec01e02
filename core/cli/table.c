#include "cli/table.h"

#include "base/memory.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int nas_table_create(size_t rows, size_t columns, nas_table *table, nas_error *err) {
    *table = (nas_table){rows, columns, nas_alloc(rows * columns, sizeof(nas_cell))};
    return table->cells ? NAS_OK : nas_fail(err, NAS_ERR_MEMORY, "out of memory for a table");
}

void nas_table_free(nas_table *table) {
    free(table->cells);
    *table = (nas_table){0};
}

void nas_table_head(nas_table *table, const char *const *titles) {
    for (size_t i = 0; i < table->columns; i++)
        snprintf(table->cells[i].text, sizeof table->cells[i].text, "%s", titles[i]);
}

nas_cell *nas_table_at(nas_table *table, size_t row, size_t column) {
    return &table->cells[row * table->columns + column];
}

static size_t width_of(const nas_table *table, size_t column) {
    size_t width = 0;
    for (size_t row = 0; row < table->rows; row++) {
        size_t n = strlen(table->cells[row * table->columns + column].text);
        if (n > width) width = n;
    }
    return width;
}

static bool to_the_right(const nas_table *table, size_t column) {
    for (size_t row = 1; row < table->rows; row++) {
        const char *text = table->cells[row * table->columns + column].text;
        if (*text && !isdigit((unsigned char)*text) && strcmp(text, "-") != 0) return false;
    }
    return true;
}

static void print_row(const nas_table *table, size_t row, FILE *stream) {
    for (size_t column = 0; column < table->columns; column++) {
        const char *text = table->cells[row * table->columns + column].text;
        bool last = column + 1 == table->columns;
        int width = (int)width_of(table, column);
        if (to_the_right(table, column))
            fprintf(stream, "%*s", width, text);
        else
            fprintf(stream, "%-*s", last ? 0 : width, text);
        fputs(last ? "\n" : "  ", stream);
    }
}

void nas_table_print(const nas_table *table, FILE *stream) {
    size_t total = 0;
    for (size_t column = 0; column < table->columns; column++)
        total += width_of(table, column) + (column ? 2 : 0);
    for (size_t row = 0; row < table->rows; row++) {
        print_row(table, row, stream);
        for (size_t i = 0; row == 0 && i < total; i++) fputc('-', stream);
        if (row == 0) fputc('\n', stream);
    }
}

/* ---- Numbers ---- */

static nas_cell scaled(uint64_t value, double step, const char *const *units, size_t n_units) {
    nas_cell cell = {"-"};
    if (value == UINT64_MAX) return cell;
    double v = (double)value;
    size_t unit = 0;
    for (; v >= step && unit + 1 < n_units; unit++) v /= step;
    const char *format = unit == 0 || fmod(v, 1) == 0 ? "%.0f%s%s" : "%.1f%s%s";
    snprintf(cell.text, sizeof cell.text, format, v, *units[unit] ? " " : "", units[unit]);
    return cell;
}

nas_cell nas_text_count(uint64_t value) {
    static const char *const units[] = {"", "k", "M", "G", "T"};
    return scaled(value, 1000, units, sizeof units / sizeof *units);
}

nas_cell nas_text_bytes(uint64_t value) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    return scaled(value, 1024, units, sizeof units / sizeof *units);
}

nas_cell nas_text_value(double value, const char *unit) {
    nas_cell cell = {"-"};
    if (isfinite(value))
        snprintf(cell.text, sizeof cell.text, value < 1000 ? "%.3g %s" : "%.0f %s", value, unit);
    return cell;
}

nas_cell nas_text_percent(double share) {
    nas_cell cell = {"-"};
    if (isfinite(share)) snprintf(cell.text, sizeof cell.text, "%.2f %%", 100 * share);
    return cell;
}
