/* Numbers side by side for the vector coder: four of them, and as many as a register of the path holds, at most eight. */
#ifndef NBMF_VECTOR_LANES_H
#define NBMF_VECTOR_LANES_H

#include "products.h"

typedef float Four __attribute__((vector_size(16)));
typedef int32_t FourPlaces __attribute__((vector_size(16)));

INLINE FourPlaces all_four(int32_t x) { return (FourPlaces){x, x, x, x}; }

INLINE FourPlaces either(FourPlaces where, FourPlaces a, FourPlaces b) { return (a & where) | (b & ~where); }

#if defined(PATH_AVX512) || defined(PATH_AVXVNNI) || defined(PATH_AVX2)
#define EIGHT_LANES
enum { LANE_COUNT = 8, LANE_LOG = 3 };
typedef float Lanes __attribute__((vector_size(32)));
typedef int32_t Places __attribute__((vector_size(32)));
typedef uint32_t Wrapping __attribute__((vector_size(32)));
#else
enum { LANE_COUNT = 4, LANE_LOG = 2 };
typedef Four Lanes;
typedef FourPlaces Places;
typedef uint32_t Wrapping __attribute__((vector_size(16)));
#endif
#if defined(__clang__)
#define SHUFFLED(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLED(a, b, ...) __builtin_shuffle(a, b, (Places){__VA_ARGS__})
#endif

INLINE Wrapping read_wrapping(const uint32_t *from) {
    Wrapping x;
    memcpy(&x, from, sizeof x);
    return x;
}

INLINE void write_wrapping(uint32_t *to, Wrapping x) { memcpy(to, &x, sizeof x); }

#endif
