/* Included first when clang-tidy reads a file: its analyzer does not look into variadic functions,
 * and must know that what nas_fail returns is the code that it was given. */
#include <nashost/plugin.h>
#define nas_fail(err, code, ...) (nas_fail(err, code, __VA_ARGS__), (code))
