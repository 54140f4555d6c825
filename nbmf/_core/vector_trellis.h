/* Quantisation by the trellis: levels that cost least in error and bits together.
 *
 * Floats, one IEEE 754 operation at a time, in the same order on every path, so that all write the same stream.
 */
#ifndef NBMF_VECTOR_TRELLIS_H
#define NBMF_VECTOR_TRELLIS_H

#include "vector_expected.h"
#include "vector_lanes.h"

/* ---- what an index costs: of each union both parities, four numbers side by side ---- */

INLINE Four as_floats(FourPlaces x) { return __builtin_convertvector(x, Four); }

INLINE Four read_four(const float *from) {
    Four x;
    memcpy(&x, from, sizeof x);
    return x;
}

/* `of_union`: the tables of both. */
INLINE Four bits_of(const IndexTable *const *of_union, int shift, FourPlaces index) {
    const int most = of_union[0]->most;
    const FourPlaces high = index >> all_four(shift);
    const FourPlaces outside = (high < all_four(-most)) | (high > all_four(most));
    const FourPlaces at = either(outside, all_four(2 * most + 1), high + most);
    const float *first = of_union[0]->bits, *second = of_union[1]->bits;
    return (Four){first[at[0]], first[at[1]], second[at[2]], second[at[3]]} + as_floats((outside & ESCAPE_BITS) + shift);
}

/* The nearest index of each union and parity, without its lowest bit, which is the parity. */
INLINE FourPlaces nearest_halves(float x, int with_zero) {
    const Four parity = {0, 1, 0, 1}, off = with_zero ? (Four){0, 0, 0, 0} : (Four){0, 0, 1, 1};
    const Four halves = ((x - off) * 0.5f - parity) * 0.5f + 0.5f;
    const FourPlaces whole = __builtin_convertvector(halves, FourPlaces); /* towards zero, */
    return whole + (halves < as_floats(whole));                           /* then down: comparisons are -1 where true */
}

/* Of the nearest and the next towards zero the one that costs less, and its cost. */
INLINE Four cheaper(Four away, Four bits, Four away_next, Four bits_next, float weight, FourPlaces index, FourPlaces next,
                    FourPlaces *chosen) {
    const Four cost = away * away + weight * bits, cost_next = away_next * away_next + weight * bits_next;
    const FourPlaces better = cost_next < cost;
    *chosen = either(better, next, index);
    return (Four)either(better, (FourPlaces)cost_next, (FourPlaces)cost);
}

/* As find_costs does for one number, for those that are too far out for rows, or with low bits that are coded as they are. */
static Four far_cost(float x, const IndexTable *const *of_union, Expected expected, int with_zero, float weight, int row,
                     FourPlaces *chosen) {
    const FourPlaces parity = {0, 1, 0, 1}, second = {0, 0, -1, -1};
    const int by_row = !with_zero && expected.class >= NEAREST_CLASS;
    FourPlaces halves = nearest_halves(x, with_zero);
    if (by_row) halves = (row + (FourPlaces){3, 1, 2, 0}) >> all_four(2);
    const FourPlaces index = 2 * halves + parity, next = index + 2 + ((index > 0) & -4);
    Four away[2], bits[2];
    for (int rank = 0; rank < 2; rank++) {
        const FourPlaces at = rank ? next : index;
        const FourPlaces beside = with_zero ? (at > 0) - (at < 0) : all_four(1);
        away[rank] = x - as_floats(2 * at + (beside & second));
        bits[rank] = bits_of(of_union, expected.shift, at);
    }
    if (!by_row) return cheaper(away[0], bits[0], away[1], bits[1], weight, index, next, chosen);
    *chosen = index;
    return away[0] * away[0] + weight * bits[0];
}

/* Which row holds the nearest candidates, where the second union is without zero. */
static void find_rows(const float *scaled_L, int latents, int32_t *row_L) {
    const float round = 12582912; /* 1.5 * 2^23: adding it rounds to an integer, halves to even ones */
    for (int i = 0; i < latents; i++) {
        float sum = 0;
        for (int level = 0; level < 4; level++) sum += ((scaled_L[i] - (float)level) * 0.25f + round) - round;
        row_L[i] = (int32_t)sum;
    }
}

/* Of all numbers of a fitted space, by their ratios. In blocks: each number waits for the one before, so the one block's energies
 * are worked out beside what the block before expects. */
static void find_expected(const VectorSpace *space, const VectorStep *step, const int32_t *ratio_L, Expected *expected_L) {
    enum { BLOCK = 16 };
    const VectorSpace of = *space; /* copies, so that no store may change a pointer */
    const int32_t *deviation_L = step->deviation_L;
    int32_t energy = 1 << ENERGY_BITS;
    for (int begin = 0; begin < of.latents; begin += BLOCK) {
        const int count = of.latents - begin < BLOCK ? of.latents - begin : BLOCK;
        int32_t energy_B[BLOCK] = {0};
        for (int i = 0; i < count; i++) {
            energy_B[i] = energy;
            energy = followed(&of, begin + i, energy, ratio_L[begin + i]);
        }
        for (int i = 0; i < count; i++)
            expected_L[begin + i] = expected_of(deviation_L[begin + i] + growth_of(&of, energy_B[i]));
    }
}

/* What the exact numbers before each, not their levels, say. */
static void expect_by_numbers(const VectorSpace *space, const VectorStep *step, const VectorWork *work) {
    const VectorStep at = *step;
    const float *scaled_L = work->scaled_L;
    int32_t *ratio_L = work->ratio_L;
    for (int i = 0; i < space->latents; i++) ratio_L[i] = energy_ratio(&at, i, (uint32_t)(4 * scaled_L[i] * scaled_L[i] + 1));
    find_expected(space, step, ratio_L, work->expected_L);
}

/* An index of each union and parity, and what it costs. */
INLINE void find_costs(const VectorSpace *space, const VectorStep *step, const VectorWork *work, float weight, int fitted) {
    const int latents = space->latents;
    const VectorWork of = *work;
    const uint8_t *with_zero_L = step->with_zero_L;
    if (fitted) expect_by_numbers(space, step, work);
    int with_zero = with_zero_L[0];
    Expected expected = fitted ? of.expected_L[0] : expected_index(space, step, 0, 0, 0);
    CandidateRows rows = space->tables->rows[with_zero][expected.class];
    for (int i = 0; i < latents; i++) {
        const float x = of.scaled_L[i];
        if (fitted) {
            with_zero = with_zero_L[i];
            expected = of.expected_L[i];
            rows = space->tables->rows[with_zero][expected.class];
        }
        const int by_row = !with_zero && expected.class >= NEAREST_CLASS;
        int row = of.row_L[i];
        if (!by_row) {
            const FourPlaces halves = nearest_halves(x, with_zero);
            row = halves[0] + halves[1] + halves[2] + halves[3];
        }
        Four cost;
        FourPlaces index;
        if (expected.shift || (uint32_t)(row + rows.reach) >= 2 * (uint32_t)rows.reach) {
            const IndexTable *const of_union[2] = {table_of(space, expected, 0, with_zero), table_of(space, expected, 1, with_zero)};
            cost = far_cost(x, of_union, expected, with_zero, weight, row, &index);
        } else {
            const Candidates *candidates = rows.candidates + row;
            const float(*bits)[4] = rows.bits[row];
            memcpy(&index, candidates->index[0], sizeof index);
            const Four away = x - read_four(candidates->level[0]);
            if (by_row) cost = away * away + weight * read_four(bits[0]);
            else {
                FourPlaces next;
                memcpy(&next, candidates->index[1], sizeof next);
                cost = cheaper(away, read_four(bits[0]), x - read_four(candidates->level[1]), read_four(bits[1]), weight, index,
                               next, &index);
            }
        }
        memcpy(of.cost_L4 + 4 * (size_t)i, &cost, sizeof cost);
        memcpy(of.candidate_L4 + 4 * (size_t)i, &index, sizeof index);
    }
}

/* ---- the way that costs least ---- */

enum { TRELLIS_BLOCKS = TRELLIS_STATES / LANE_COUNT };

/* What numbers cost by the lane of the state that they leave, in the blocks of 8 whose bit 3 is 0 and 1; and the bits of the states
 * that are reached from the second half, which are those whose comparisons are true. */
#if defined(EIGHT_LANES)
INLINE Lanes lesser(Lanes a, Lanes b) { return (Lanes)_mm256_min_ps((__m256)a, (__m256)b); }

INLINE Lanes costs_of_lanes(const float *cost_4) { return (Lanes)_mm256_broadcast_ps((const __m128 *)cost_4); }

INLINE Lanes other_union(Lanes cost) { return SHUFFLED(cost, cost, 2, 3, 0, 1, 6, 7, 4, 5); }

INLINE Lanes other_parity(Lanes cost) { return SHUFFLED(cost, cost, 1, 0, 3, 2, 5, 4, 7, 6); }

INLINE void alternate(Lanes even, Lanes odd, Lanes *to) {
    to[0] = SHUFFLED(even, odd, 0, 8, 1, 9, 2, 10, 3, 11);
    to[1] = SHUFFLED(even, odd, 4, 12, 5, 13, 6, 14, 7, 15);
}

/* Of the comparisons of a block's even and odd states. */
INLINE Places joined(Places even, Places odd) { return (Places)_mm256_blend_epi16((__m256i)even, (__m256i)odd, 0xAA); }

INLINE uint64_t bits_of_states(const Places *joined) {
    uint64_t bits = 0;
    for (int half = 0; half < 2; half++) {
        const __m256i bytes = _mm256_packs_epi16((__m256i)joined[2 * half], (__m256i)joined[2 * half + 1]);
        bits |= (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_permute4x64_epi64(bytes, 0xD8)) << (32 * half);
    }
    return bits;
}
#else
INLINE Lanes lesser(Lanes a, Lanes b) { return (Lanes)either(a <= b, (Places)a, (Places)b); }

INLINE Lanes costs_of_lanes(const float *cost_4) {
    Lanes cost;
    memcpy(&cost, cost_4, sizeof cost);
    return cost;
}

INLINE Lanes other_union(Lanes cost) { return SHUFFLED(cost, cost, 2, 3, 0, 1); }

INLINE Lanes other_parity(Lanes cost) { return SHUFFLED(cost, cost, 1, 0, 3, 2); }

INLINE void alternate(Lanes even, Lanes odd, Lanes *to) {
    to[0] = SHUFFLED(even, odd, 0, 4, 1, 5);
    to[1] = SHUFFLED(even, odd, 2, 6, 3, 7);
}

INLINE Places joined(Places even, Places odd) { return (even & (Places){1, 4, 16, 64}) | (odd & (Places){2, 8, 32, 128}); }

INLINE uint64_t bits_of_states(const Places *joined) {
    uint64_t bits = 0;
    for (int half = 0; half < 2; half++) {
        Places seen = joined[4 * half];
        for (int block = 1; block < 4; block++) seen |= joined[4 * half + block] << all_four(8 * block);
        bits |= (uint64_t)(uint32_t)(seen[0] | seen[1] | seen[2] | seen[3]) << (32 * half);
    }
    return bits;
}
#endif

/* From state s bit u leads to 2 s + u, so to 2 m and 2 m + 1 from m and m + HALF: from one of the two by an index of one
 * parity, from the other by one of the other. Keeps in from_L which of the two it was, a bit a state reached; returns the
 * state at which the cheapest way ends. */
static int find_ways(int latents, VectorWork *work) {
    enum { HALF = TRELLIS_BLOCKS / 2 };
    Lanes state[TRELLIS_BLOCKS];
    for (int block = 0; block < TRELLIS_BLOCKS; block++) state[block] = (Lanes){0} + 1e30f;
    state[0][0] = 0;
    for (int i = 0; i < latents; i++) {
        const Lanes cost = costs_of_lanes(work->cost_L4 + 4 * (size_t)i), swapped = other_parity(cost);
        const Lanes one_of[2] = {cost, other_union(cost)}, other_of[2] = {swapped, other_union(swapped)};
        Lanes next[TRELLIS_BLOCKS];
        Places from_high[HALF];
#pragma GCC unroll 8
        for (int block = 0; block < HALF; block++) {
            const Lanes one = one_of[block * LANE_COUNT >> 3 & 1], other = other_of[block * LANE_COUNT >> 3 & 1];
            const Lanes a = state[block] + one, b = state[block + HALF] + other;
            const Lanes c = state[block] + other, d = state[block + HALF] + one;
            from_high[block] = joined(a > b, c > d);
            alternate(lesser(a, b), lesser(c, d), next + 2 * block);
        }
        work->from_L[i] = bits_of_states(from_high);
#pragma GCC unroll 16
        for (int block = 0; block < TRELLIS_BLOCKS; block++) state[block] = next[block];
    }
    float cost[TRELLIS_STATES];
    memcpy(cost, state, sizeof cost);
    int best = 0;
    for (int s = 1; s < TRELLIS_STATES; s++)
        if (cost[s] < cost[best]) best = s;
    return best;
}

/* Into index_L, used_L and level_L. */
static void quantise(const VectorSpace *space, const VectorStep *step, VectorWork *work, float weight) {
    const int latents = space->latents;
    find_rows(work->scaled_L, latents, work->row_L);
    if (space->gain_L) find_costs(space, step, work, weight, 1);
    else find_costs(space, step, work, weight, 0);
    int state = find_ways(latents, work);
    const VectorWork to = *work;
    const uint8_t *with_zero_L = step->with_zero_L;
    for (int i = latents - 1; i >= 0; i--) {
        const int before = state >> 1 | (int)(to.from_L[i] >> state & 1) << 5, u = union_of(before);
        const int parity = (state ^ before ^ before >> 5) & 1;
        const int32_t index = to.candidate_L4[4 * (size_t)i + (size_t)(2 * u + parity)];
        to.used_L[i] = (uint8_t)u;
        to.index_L[i] = index;
        to.level_L[i] = (int16_t)level_of(index, u, with_zero_L[i]);
        state = before;
    }
}

#endif
