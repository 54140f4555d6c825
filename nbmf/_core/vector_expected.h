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

/* What is expected of a number of so much deviation, in steps, as a logarithm. */
INLINE Expected expected_of(int32_t deviation) {
    const int unit = OCTAVE / CLASSES_AN_OCTAVE;
    int class = (deviation - LEAST_CLASS_LOG + unit / 2) >> 5, shift = 0;
    if (class < 0) class = 0;
    if (class >= TABLE_CLASSES) {
        shift = (class - TABLE_CLASSES + CLASSES_AN_OCTAVE) >> 3;
        class -= shift * CLASSES_AN_OCTAVE;
    }
    return (Expected){(uint8_t)class, (uint8_t)shift};
}

/* By how much a deviation grows where the energy is so many times what was expected: half of its logarithm. */
INLINE int32_t growth_of(const VectorSpace *space, int32_t energy) {
    const float exact = (float)(energy + !energy); /* at most MOST_ENERGY: its exponent and first bits are a logarithm */
    uint32_t bits;
    memcpy(&bits, &exact, sizeof bits);
    return space->tables->growth_of[(bits >> 17) - FIRST_GROWTH];
}

/* `fitted`: whether the space is; a constant where it is called. Others follow no energy, and expect the same of all numbers: that
 * of the first, `i` being 0. */
INLINE Expected expected_index(const VectorSpace *space, const VectorStep *step, int i, int32_t energy, int fitted) {
    return expected_of(step->deviation_L[i] + (fitted ? growth_of(space, energy) : 0));
}

INLINE const IndexTable *table_of(const VectorSpace *space, Expected expected, int of_union, int with_zero) {
    return &space->tables->tables[expected.shift ? 1 : with_zero * 2 + of_union][expected.class];
}

/* How many times what was expected a level's energy is, which is that of four times its square and one. */
INLINE int32_t energy_ratio(const VectorStep *step, int i, uint32_t level_energy) {
    const uint64_t ratio = ((uint64_t)level_energy * step->energy_L[i]) >> step->energy_shift_L[i];
    return ratio > MOST_ENERGY ? MOST_ENERGY : (int32_t)ratio;
}

/* A vector's energy once a number is known. */
INLINE int32_t followed(const VectorSpace *space, int i, int32_t energy, int32_t ratio) {
    return energy + ((ratio - energy) * space->gain_L[i] >> 16); /* a gain is below 2^12 */
}

#endif
