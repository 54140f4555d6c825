/* Floats of 16 bits, rounded and read in integers. */
#ifndef NBMF_SMALL_FLOATS_H
#define NBMF_SMALL_FLOATS_H

#include <stdint.h>

/* mantissa * 2^exponent rounded to a type of `digits` binary digits and least unit 2^least, as that type's
 * bits without sign; ties to even. 0 < mantissa. Too large ones become infinite. */
static inline uint32_t small_float(uint64_t mantissa, int exponent, int digits, int least, uint32_t infinity) {
    const int length = 64 - __builtin_clzll(mantissa);
    int drop = length - digits; /* bits */
    if (exponent + drop < least) drop = least - exponent;
    if (drop > 62) return 0;
    uint64_t kept = mantissa;
    if (drop > 0) {
        kept = mantissa >> drop;
        const uint64_t rest = mantissa & (((uint64_t)1 << drop) - 1), half = (uint64_t)1 << (drop - 1);
        kept += rest > half || (rest == half && (kept & 1));
    } else
        kept = mantissa << -drop;
    const uint64_t bits = ((uint64_t)(exponent + drop - least) << (digits - 1)) + kept;
    return bits < infinity ? (uint32_t)bits : infinity;
}

/* The float16 nearest to size * 2^exponent. */
static inline uint16_t float16_bits(int negative, uint64_t size, int exponent) {
    return (uint16_t)((negative ? 0x8000u : 0) | (size ? small_float(size, exponent, 11, -24, 0x7C00) : 0));
}

/* The bfloat16 nearest to size * 2^exponent. */
static inline uint16_t bfloat16_bits(int negative, uint64_t size, int exponent) {
    return (uint16_t)((negative ? 0x8000u : 0) | (size ? small_float(size, exponent, 8, -133, 0x7F80) : 0));
}

/* A finite float16 in 2^-24. */
static inline int64_t float16_in_units(uint16_t bits) {
    const int exponent = bits >> 10 & 31;
    const int64_t size = exponent ? (int64_t)((bits & 1023) | 1024) << (exponent - 1) : bits & 1023;
    return bits & 0x8000 ? -size : size;
}

#endif
