/* Tables of the vector coder, which are filled once: logarithms, frequencies, and the rows of the trellis. No Python here. */
#include "vector_tables.h"

#include <math.h>
#include <stdlib.h>

#include "vector_expected.h"

/* ---- logarithms, in integers ---- */

/* 2^(1/2), 2^(1/4), ..., 2^(1/256), in 2^-31. */
static const uint32_t ROOTS[] = {3037000500u, 2553802834u, 2341847524u, 2242560872u,
                                 2194507417u, 2170868212u, 2159144272u, 2153306067u};

static VectorTables tables;

uint64_t nbmf_power_of_two(int log, int fraction_bits) {
    const int octaves = (log - (log & (OCTAVE - 1))) / OCTAVE, shift = octaves + fraction_bits - 31;
    const uint64_t mantissa = tables.power_of[log & (OCTAVE - 1)];
    return shift >= 0 ? mantissa << shift : shift > -64 ? mantissa >> -shift : 0;
}

/* Logarithm to base 2 of n > 0, in 2^-16. */
static uint32_t binary_log(uint32_t n) {
    uint32_t log = 31 - (uint32_t)__builtin_clz(n);
    uint64_t x = (uint64_t)n << (31 - log); /* 2^31 to 2^32 */
    for (int bit = 0; bit < 16; bit++) {
        x = x * x >> 31;
        log = log << 1 | (uint32_t)(x >> 32);
        x >>= x >> 32;
    }
    return log;
}

static int fill_table(IndexTable *table, int class, int mirrored_below, const uint16_t *half) {
    const int most = most_of_class[class], symbols = 2 * most + 2;
    uint16_t *sums = malloc((size_t)(symbols + 1) * sizeof *sums);
    uint8_t *starts = malloc(1 << START_BITS);
    float *bits = malloc((size_t)symbols * sizeof *bits);
    *table = (IndexTable){sums, starts, bits, most};
    if (!sums || !starts || !bits) return -1;
    uint32_t sum = 0;
    for (int symbol = 0; symbol <= symbols; symbol++) {
        sums[symbol] = (uint16_t)sum;
        const int index = symbol - most;
        sum += index > most ? (1 << SYMBOL_BITS) - sum : half[index < 0 ? -index - mirrored_below : index];
    }
    for (int symbol = 0; symbol < symbols; symbol++)
        bits[symbol] = (float)(SYMBOL_BITS - binary_log((uint32_t)(sums[symbol + 1] - sums[symbol])) * 0x1p-16);
    for (int start = 0, symbol = 0; start < 1 << START_BITS; start++) {
        while (sums[symbol + 1] <= start << (SYMBOL_BITS - START_BITS)) symbol++;
        starts[start] = (uint8_t)symbol;
    }
    return 0;
}

/* ---- what the trellis may choose, and in how many bits, for each class of deviation ---- */

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

/* ---- all of them ---- */

static int fill_tables(void) {
    for (int i = 0; i < OCTAVE; i++) {
        uint64_t power = (uint64_t)1 << 31;
        for (int bit = 0; bit < 8; bit++)
            if (i >> (7 - bit) & 1) power = (power * ROOTS[bit] + (1u << 30)) >> 31;
        tables.power_of[i] = (uint32_t)power;
    }
    for (int i = 0; i < 64; i++) { /* the logarithm of 1 + (i + .5) / 64 */
        const uint32_t middle = (1u << 31) + (uint32_t)(2 * i + 1) * (1u << 24);
        int log = 0;
        while (log + 1 < OCTAVE && tables.power_of[log + 1] <= middle) log++;
        for (int exponent = 0; exponent << 6 < GROWTHS; exponent++)
            tables.growth_of[exponent << 6 | i] = (int16_t)(((exponent - ENERGY_BITS) * OCTAVE + log) >> 1);
    }
    const uint16_t *half = half_frequencies;
    for (int kind = 0; kind < TABLE_KINDS; kind++)
        for (int class = 0; class < TABLE_CLASSES; class++, half += most_of_class[class - 1] + 1)
            if (fill_table(&tables.tables[kind][class], class, kind == 1, half)) return -1;
    return fill_rows(&tables, 0) || fill_rows(&tables, 1) ? -1 : 0;
}

const VectorTables *nbmf_vector_tables(void) {
    return tables.power_of[0] || !fill_tables() ? &tables : NULL;
}
