#include "base/rng.h"

#include <math.h>

static uint32_t mulhilo(uint32_t a, uint32_t b, uint32_t *low) {
    uint64_t product = (uint64_t)a * b;
    *low = (uint32_t)product;
    return (uint32_t)(product >> 32);
}

void nas_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint32_t low0, low1;
        uint32_t high0 = mulhilo(0xD2511F53u, c0, &low0);
        uint32_t high1 = mulhilo(0xCD9E8D57u, c2, &low1);
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

nas_rng nas_rng_open(uint64_t seed, nas_purpose purpose, uint64_t step, uint64_t sample) {
    return (nas_rng){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                     .counter = {0, (uint32_t)sample, (uint32_t)step, (uint32_t)purpose},
                     .used = 4};
}

uint32_t nas_rng_u32(nas_rng *rng) {
    if (rng->used == 4) {
        nas_philox(rng->counter, rng->key, rng->block);
        rng->counter[0]++;
        rng->used = 0;
    }
    return rng->block[rng->used++];
}

uint64_t nas_rng_u64(nas_rng *rng) {
    uint64_t high = nas_rng_u32(rng);
    return high << 32 | nas_rng_u32(rng);
}

double nas_rng_uniform(nas_rng *rng) {
    return (double)(nas_rng_u64(rng) >> 11) * 0x1p-53;
}

/* Multiply-shift with rejection: Lemire, "Fast Random Integer Generation in an Interval", 2019. */
uint32_t nas_rng_below(nas_rng *rng, uint32_t n) {
    uint32_t low;
    uint32_t high = mulhilo(nas_rng_u32(rng), n, &low);
    if (low < n) {
        uint32_t threshold = (0u - n) % n;
        while (low < threshold) high = mulhilo(nas_rng_u32(rng), n, &low);
    }
    return high;
}

double nas_rng_normal(nas_rng *rng) {
    double radius = sqrt(-2.0 * log(1.0 - nas_rng_uniform(rng)));
    return radius * cos(6.283185307179586 * nas_rng_uniform(rng));
}

void nas_rng_shuffle(nas_rng *rng, uint64_t *order, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = nas_rng_below(rng, (uint32_t)i);
        uint64_t swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
}
