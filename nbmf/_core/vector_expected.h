/* What the vector coder's states and levels mean, and what it expects of an index. Integers only. */
#ifndef NBMF_VECTOR_EXPECTED_H
#define NBMF_VECTOR_EXPECTED_H

#include <string.h>

#include "core.h"

INLINE int union_of(int state) { return (state >> 1 ^ state >> 3) & 1; }

INLINE int next_state(int state, int index) {
    return (state << 1 | ((index ^ state ^ state >> 5) & 1)) & (TRELLIS_STATES - 1);
}

/* In half-steps. The first union has the even ones, the second the odd ones; with zero in it its others are by turns on
 * either side of it in its two subsets. */
INLINE int32_t level_of(int32_t index, int of_union, int with_zero) {
    const int32_t beside = with_zero ? (index < 0) - (index > 0) : 1;
    return 2 * index + (beside & -of_union);
}

/* `fitted`: whether the space is; a constant where it is called. Others follow no energy, and expect the same of all numbers: that
 * of the first, `i` being 0. */
INLINE Expected expected_index(const VectorSpace *space, const VectorStep *step, int i, int32_t energy, int fitted) {
    int32_t deviation = step->deviation_L[i];
    if (fitted) {
        const float exact = (float)(energy + !energy); /* at most MOST_ENERGY: its exponent and first bits are a logarithm */
        uint32_t bits;
        memcpy(&bits, &exact, sizeof bits);
        deviation += (((int)(bits >> 23) - 127 - ENERGY_BITS) * OCTAVE + space->tables->log_of[bits >> 17 & 63]) >> 1;
    }
    const int unit = OCTAVE / CLASSES_AN_OCTAVE;
    int class = (deviation - LEAST_CLASS_LOG + unit / 2) >> 5, shift = 0;
    if (class < 0) class = 0;
    if (class >= TABLE_CLASSES) {
        shift = (class - TABLE_CLASSES + CLASSES_AN_OCTAVE) >> 3;
        class -= shift * CLASSES_AN_OCTAVE;
    }
    return (Expected){(uint8_t)class, (uint8_t)shift};
}

INLINE const IndexTable *table_of(const VectorSpace *space, Expected expected, int of_union, int with_zero) {
    return &space->tables->tables[expected.shift ? 1 : with_zero * 2 + of_union][expected.class];
}

INLINE int32_t followed(const VectorSpace *space, const VectorStep *step, int i, int32_t energy, uint64_t level_energy,
                         int fitted) {
    if (!fitted) return energy;
    uint64_t ratio = (level_energy * step->energy_L[i]) >> step->energy_shift_L[i];
    if (ratio > MOST_ENERGY) ratio = MOST_ENERGY;
    return energy + (int32_t)((((int64_t)ratio - energy) * space->gain_L[i]) >> 16);
}

#endif
