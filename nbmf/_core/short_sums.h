/* Vectors made ready for products that are summed in 16 bits, as PMADDUBSW gives them: of bytes without sign, weights with
 * 128 added, and bytes with sign, two products to a lane.
 *
 * Two products fit where values of one sign that stand side by side are at most 128 together: 255 * 128 < 32768. A group
 * of columns with two of more than 127 is split, also as that finds a value of -128: half of each value stays in its place,
 * the rest, at most 64, becomes an *extra*, which is added by itself.
 *
 * A run of RUN groups is summed in 16 bits, before which 128 times its values is taken off. Sums may wrap on the way; what
 * comes of a run is what it is without the 128, and fits: its square is at most that of the row's weights times that of the
 * values (Cauchy & Schwarz), of which no row has more than `limits` allow. Groups of a run with larger values become extras,
 * until it fits. Keys that are not there yet, bytes of 0, may not fit: what comes of them is not read.
 *
 * Included where products.h has the instructions.
 */
#ifndef NBMF_SHORT_SUMS_H
#define NBMF_SHORT_SUMS_H

#include <string.h>

#include "core.h"

enum {
    RUN = 4,
    RUN_COLUMNS = RUN * COLUMNS,
    HALVES = 2, /* lanes of a group */
    MOST_SHORT = 32767,
    ANY_ROW = MOST_SHORT * MOST_SHORT / (RUN * COLUMNS / HALVES * INT8_LIMIT * INT8_LIMIT) /* the limit for rows not known */
};

typedef struct {
    int32_t group;
    int8_t x[COLUMNS];
} Extra;

/* What becomes of one vector: READY bytes a column. */
typedef struct {
    int8_t *x;       /* of all groups, what stays in its place */
    int32_t *starts; /* of each run, two 16-bit numbers: what is taken off */
    Extra *extras;   /* two for each group at most */
    int n_extras;
    int32_t taken_off; /* of the extras' sums */
} Ready;

INLINE Ready ready_at(int8_t *room, int columns) {
    int32_t *starts = (int32_t *)(void *)(room + columns);
    return (Ready){.x = room, .starts = starts, .extras = (Extra *)(void *)(starts + columns / RUN_COLUMNS)};
}

/* Of each of `runs` and lane, the most that the squares of a vector's values may sum up to; the last may lack columns. */
static void find_limits(const int8_t *matrix, int rows, int columns, int runs, int32_t *limits) {
    for (int i = 0; i < runs * HALVES; i++) limits[i] = 1;
    for (int row = 0; row < rows; row++, matrix += columns)
        for (int run = 0; run < runs; run++) {
            const int8_t *weights = matrix + run * RUN_COLUMNS;
            const int there = columns - run * RUN_COLUMNS < RUN_COLUMNS ? columns - run * RUN_COLUMNS : RUN_COLUMNS;
            int32_t squares[HALVES] = {0};
            for (int column = 0; column < there; column++)
                squares[column % COLUMNS * HALVES / COLUMNS] += weights[column] * weights[column];
            for (int half = 0; half < HALVES; half++)
                if (squares[half] > limits[run * HALVES + half]) limits[run * HALVES + half] = squares[half];
        }
    for (int i = 0; i < runs * HALVES; i++) limits[i] = MOST_SHORT * MOST_SHORT / limits[i];
}

static void add_extra(Ready *ready, int group, const int8_t *x) {
    Extra *extra = &ready->extras[ready->n_extras++];
    extra->group = group;
    memcpy(extra->x, x, COLUMNS);
    for (int column = 0; column < COLUMNS; column++) ready->taken_off += 128 * x[column];
}

static void split_group(Ready *ready, int group, const int8_t *x, int8_t *half) {
    int8_t rest[COLUMNS];
    for (int column = 0; column < COLUMNS; column++) {
        half[column] = (int8_t)(x[column] >> 1);
        rest[column] = (int8_t)(x[column] - half[column]);
    }
    add_extra(ready, group, rest);
}

/* Groups of a run become extras, that with the largest values first, until the others keep to its limits. */
static void shorten_run(Ready *ready, int run, const int32_t *limits) {
    int8_t *x = ready->x + run * RUN_COLUMNS;
    for (;;) {
        int32_t squares[HALVES] = {0}, most = -1;
        int largest = 0;
        for (int group = 0; group < RUN; group++) {
            int32_t of[HALVES] = {0};
            for (int column = 0; column < COLUMNS; column++)
                of[column * HALVES / COLUMNS] += x[group * COLUMNS + column] * x[group * COLUMNS + column];
            squares[0] += of[0];
            squares[1] += of[1];
            if (of[0] + of[1] > most) most = of[0] + of[1], largest = group;
        }
        if (squares[0] <= limits[0] && squares[1] <= limits[1]) return;
        add_extra(ready, run * RUN + largest, x + largest * COLUMNS);
        memset(x + largest * COLUMNS, 0, COLUMNS);
    }
}

INLINE __m128i in_all_lanes(__m128i sums) {
    sums = _mm_add_epi32(sums, _mm_shuffle_epi32(sums, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm_add_epi32(sums, _mm_shuffle_epi32(sums, _MM_SHUFFLE(2, 3, 0, 1)));
}

/* `limits` of find_limits; NULL: any rows. */
static Ready make_ready(const int8_t *x, int columns, const int32_t *limits, int8_t *room) {
    static const int32_t any_row[HALVES] = {ANY_ROW, ANY_ROW};
    const __m128i ones = _mm_set1_epi8(1), zeros = _mm_setzero_si128();
    Ready ready = ready_at(room, columns);
    const int runs = columns / RUN_COLUMNS;
    for (int run = 0; run < runs; run++, x += RUN_COLUMNS) {
        int8_t *here = ready.x + run * RUN_COLUMNS;
        __m128i values = _mm_loadu_si128((const __m128i *)(const void *)x);
        _mm_storeu_si128((__m128i *)(void *)here, values);
        const __m128i above = _mm_maddubs_epi16(_mm_max_epi8(values, zeros), ones);
        const __m128i below = _mm_maddubs_epi16(_mm_sub_epi8(zeros, _mm_min_epi8(values, zeros)), ones);
        const __m128i over = _mm_cmpgt_epi16(_mm_max_epi16(above, below), _mm_set1_epi16(INT8_LIMIT));
        int split = _mm_movemask_ps(_mm_castsi128_ps(_mm_or_si128(over, _mm_slli_epi32(over, 16))));
        if (split) {
            for (; split; split &= split - 1) {
                const int group = __builtin_ctz((unsigned)split);
                split_group(&ready, run * RUN + group, x + group * COLUMNS, here + group * COLUMNS);
            }
            values = _mm_loadu_si128((const __m128i *)(const void *)here);
        }
        const __m128i sizes = _mm_abs_epi8(values), squares = _mm_maddubs_epi16(sizes, sizes);
        const __m128i first = in_all_lanes(_mm_and_si128(squares, _mm_set1_epi32(0xFFFF)));
        const __m128i second = in_all_lanes(_mm_srli_epi32(squares, 16));
        const int32_t *limit = limits ? limits + run * HALVES : any_row;
        const __m128i most = _mm_loadl_epi64((const __m128i *)(const void *)limit);
        if (_mm_movemask_epi8(_mm_cmpgt_epi32(_mm_unpacklo_epi32(first, second), most)) & 0xFF) {
            shorten_run(&ready, run, limit);
            values = _mm_loadu_si128((const __m128i *)(const void *)here);
        }
        __m128i sums = _mm_maddubs_epi16(ones, values);
        sums = _mm_add_epi16(sums, _mm_shuffle_epi32(sums, _MM_SHUFFLE(1, 0, 3, 2)));
        sums = _mm_add_epi16(sums, _mm_shuffle_epi32(sums, _MM_SHUFFLE(2, 3, 0, 1)));
        ready.starts[run] = _mm_cvtsi128_si32(_mm_sub_epi16(zeros, _mm_slli_epi16(sums, 7)));
    }
    for (int group = runs * RUN; group < columns / COLUMNS; group++, x += COLUMNS) {
        int8_t half[COLUMNS];
        split_group(&ready, group, x, half);
        add_extra(&ready, group, half);
    }
    return ready;
}

#endif
