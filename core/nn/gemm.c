#include "nn/gemm.h"

#include "base/memory.h"

#include <blis.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIDE = 256, ROOM = 16 << 20 }; /* of a product that needs every buffer; for one thread */

/* ---- Which kernels ---- */

int nas_gemm_family(bool avx512, bool avx2) {
    return avx512 ? BLIS_ARCH_SKX : avx2 ? BLIS_ARCH_HASWELL : -1;
}

const char *nas_gemm_kernels(void) {
    bli_init(); /* else a family that $BLIS_ARCH_TYPE names is not there yet */
    return bli_arch_string(bli_arch_query_id());
}

#ifdef __x86_64__
/* Asked in another process, since BLIS keeps its first answer. */
static bool blis_knows_processor(void) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) _exit(bli_arch_query_id() == BLIS_ARCH_GENERIC);
    return child < 0 || waitpid(child, &status, 0) != child || status == 0;
}

void nas_gemm_prepare(void) {
    char text[16];
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    int family = nas_gemm_family(avx512, avx2);
    if (family < 0 || getenv("BLIS_ARCH_TYPE") || blis_knows_processor()) return;
    snprintf(text, sizeof text, "%d", family);
    setenv("BLIS_ARCH_TYPE", text, 0);
}
#else
void nas_gemm_prepare(void) {}
#endif

/* ---- Products ---- */

void nas_gemm(size_t m, size_t n, size_t k, nas_matrix a, nas_matrix b, nas_real beta, nas_real *c,
              size_t ldc) {
    nas_real one = 1;
    rntm_t threads;
    bli_rntm_init(&threads);
    bli_rntm_set_num_threads(1, &threads);
    inc_t a_row = a.transposed ? 1 : (inc_t)a.ld, a_col = a.transposed ? (inc_t)a.ld : 1;
    inc_t b_row = b.transposed ? 1 : (inc_t)b.ld, b_col = b.transposed ? (inc_t)b.ld : 1;
#ifdef NAS_DOUBLE
    bli_dgemm_ex
#else
    bli_sgemm_ex
#endif
        (BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, (dim_t)m, (dim_t)n, (dim_t)k, &one,
         (nas_real *)(uintptr_t)a.data, a_row, a_col, (nas_real *)(uintptr_t)b.data, b_row, b_col,
         &beta, c, (inc_t)ldc, 1, NULL, &threads);
}

void nas_gemm_double(size_t m, size_t n, size_t k, const double *a, bool a_transposed,
                     const double *b, bool b_transposed, double beta, double *c) {
    double one = 1;
    rntm_t threads;
    bli_rntm_init(&threads);
    bli_rntm_set_num_threads(1, &threads);
    inc_t a_row = a_transposed ? 1 : (inc_t)k, a_col = a_transposed ? (inc_t)m : 1;
    inc_t b_row = b_transposed ? 1 : (inc_t)n, b_col = b_transposed ? (inc_t)k : 1;
    bli_dgemm_ex(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, (dim_t)m, (dim_t)n, (dim_t)k, &one,
                 (double *)(uintptr_t)a, a_row, a_col, (double *)(uintptr_t)b, b_row, b_col, &beta,
                 c, (inc_t)n, 1, NULL, &threads);
}

static int no_memory(int threads, nas_error *err) {
    return nas_fail(err, NAS_ERR_MEMORY,
                    "out of memory for the matrix products of %d threads; ask for fewer with "
                    "--threads",
                    threads);
}

int nas_gemm_reserve(int threads, nas_error *err) {
    size_t room = (size_t)(threads < 1 ? 1 : threads) * ROOM;
    void *probe = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe == MAP_FAILED) return no_memory(threads, err);
    munmap(probe, room);
    nas_real *all = nas_alloc(3, SIDE * SIDE * sizeof *all);
    if (!all) return no_memory(threads, err);
    nas_matrix a = {all, SIDE, false}, b = {all + SIDE * SIDE, SIDE, false};
    nas_gemm(SIDE, SIDE, SIDE, a, b, 0, all + 2 * SIDE * SIDE, SIDE);
    free(all);
    return NAS_OK;
}
