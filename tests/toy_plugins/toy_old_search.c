/* The same as toy_search.c, built with headers of ABI 1.0. */
#include <nashost/search.h>
#undef NAS_ABI_MINOR
#define NAS_ABI_MINOR 0
#define TOY_ID "toy-old-search"
#include "toy_search.c"
