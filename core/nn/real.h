/* The engine's number type: float, or double in the build that checks gradients. */
#ifndef NAS_NN_REAL_H
#define NAS_NN_REAL_H

#ifdef NAS_DOUBLE
typedef double nas_real;
#else
typedef float nas_real;
#endif

#endif
