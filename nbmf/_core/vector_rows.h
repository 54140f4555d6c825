/* What the trellis may choose, and in how many bits, for each class of deviation: CandidateRows. */
#ifndef NBMF_VECTOR_ROWS_H
#define NBMF_VECTOR_ROWS_H

#include <math.h>
#include <stdlib.h>

#include "vector_expected.h"

/* Of a number that is no level. */
static Candidates candidates_of(double x, int with_zero) {
    Candidates made;
    for (int c = 0; c < 4; c++) {
        const int of_union = c >> 1, parity = c & 1;
        const int nearest = (int)floor(((x - (with_zero ? 0 : of_union)) / 2 - parity) / 2 + 0.5) * 2 + parity;
        for (int rank = 0; rank < 2; rank++) {
            const int index = rank == 0 ? nearest : nearest > 0 ? nearest - 2 : nearest + 2;
            made.index[rank][c] = index;
            made.level[rank][c] = (float)level_of(index, of_union, with_zero);
        }
    }
    return made;
}

static int row_of(const Candidates *candidates) {
    int row = 0;
    for (int c = 0; c < 4; c++) row += candidates->index[0][c] >> 1;
    return row;
}

/* For all classes; 0, or -1 without memory. */
static int fill_rows(VectorTables *tables, int with_zero) {
    const int furthest = 2 * tables->tables[0][TABLE_CLASSES - 1].most + 8;
    Candidates *candidates = calloc(2 * (size_t)furthest, sizeof *candidates);
    if (!candidates) return -1;
    for (int i = -furthest - 4; i < furthest + 4; i++) {
        const Candidates found = candidates_of(i + 0.5, with_zero);
        const int row = row_of(&found);
        if (row >= -furthest && row < furthest) candidates[row + furthest] = found;
    }
    for (int class = 0; class < TABLE_CLASSES; class++) {
        const int most = tables->tables[0][class].most, reach = 2 * most + 8;
        float(*bits)[2][4] = calloc(2 * (size_t)reach, sizeof *bits);
        if (!bits) return -1;
        for (int row = -reach; row < reach; row++)
            for (int i = 0; i < 8; i++) {
                const int index = candidates[row + furthest].index[i >> 2][i & 3];
                const float *of_index = tables->tables[with_zero * 2 + (i >> 1 & 1)][class].bits;
                const int inside = index >= -most && index <= most;
                bits[row + reach][i >> 2][i & 3] = inside ? of_index[index + most] : of_index[2 * most + 1] + ESCAPE_BITS;
            }
        tables->rows[with_zero][class] = (CandidateRows){candidates + furthest, (const float(*)[2][4])bits + reach, reach};
    }
    return 0;
}

#endif
