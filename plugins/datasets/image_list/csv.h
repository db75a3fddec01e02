/* CSV files of two columns, as RFC 4180 has them: FILE,LABEL. */
#ifndef NAS_IMAGE_LIST_CSV_H
#define NAS_IMAGE_LIST_CSV_H

#include <nashost/plugin.h>

/* Called for each row with its number from 1 on; label is "" where there is none. Both end with the
 * call. Other than NAS_OK it ends the reading. */
typedef int (*csv_row_fn)(void *context, size_t line, const char *file, const char *label,
                          nas_error *err);

/* Reads a file row by row. A first row whose first field does not end as an image's name is a
 * heading; blank lines are passed over; a byte order mark and blanks around unquoted fields are
 * dropped. Errors name the file and line. */
int csv_read(const char *path, csv_row_fn fn, void *context, nas_error *err);

#endif
