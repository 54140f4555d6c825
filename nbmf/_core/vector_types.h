/* Types of the semantic vector coder: a vector space, and what one step of quantisation makes of it.
 *
 * A vector of norm 1 is rotated, or mapped by a fitted orthonormal transform, into latents of falling variance. Latents are
 * quantised to multiples of a half-step by a trellis (trellis-coded quantisation: M. W. Marcellin and T. R. Fischer 1990; the
 * code of 64 states is G. Ungerboeck's), and the indices go through the range coder, each by the table of normal
 * distributions whose deviation is nearest: the latent's own, times what the latents before say about this vector.
 *
 * Suffixes of arrays: D dims of a vector, L latents, V vectors.
 */
#ifndef NBMF_VECTOR_TYPES_H
#define NBMF_VECTOR_TYPES_H

#include <stddef.h>
#include <stdint.h>

enum {
    LEAST_DIMS = 8,
    MOST_DIMS = 1 << 16,
    MOST_FITTED_DIMS = 8192,
    OCTAVE = 256,           /* logarithms to base 2 are in 256ths */
    STEPS_AN_OCTAVE = 16,
    FINEST_STEP = 127,
    USUAL_STEP = 37,        /* of the 15 steps that need no byte of their own the fifth */
    FIRST_SHORT_STEP = USUAL_STEP - 4,
    SHORT_STEPS = 15,
    HALF_STEP_LOG = -6,     /* of step 0, in units of the deviation that a rotated vector's numbers have */
    TRELLIS_STATES = 64,
    TABLE_KINDS = 4,        /* union of two subsets, and whether its second one holds zero */
    TABLE_CLASSES = 57,     /* of deviations: 8 an octave, from 2^-4 to 2^3 steps */
    CLASSES_AN_OCTAVE = 8,
    LEAST_CLASS_LOG = -4 * OCTAVE,
    NEAREST_CLASS = 4 * CLASSES_AN_OCTAVE, /* from here on no other index than the nearest may pay */
    SYMBOL_BITS = 15,       /* frequencies add up to 2^15 */
    START_BITS = 8,
    MOST_ESCAPE_BITS = 17,
    ESCAPE_BITS = 20,       /* that an escape is taken to cost, more or less */
    ENERGY_BITS = 12,       /* fraction bits of a vector's energy against the expected one */
    MOST_ENERGY = 64 << ENERGY_BITS,
    FIRST_GROWTH = 127 << 6, /* exponent and six bits of the float 1 */
    GROWTHS = (ENERGY_BITS + 6 + 1) << 6,
    FITTED_BITS = 15,       /* fraction bits of a fitted transform */
    MEAN_BITS = 30,
    LARGEST_LEVEL = 32767,
    MOST_LEVEL_ENERGY = 1 << 30,
    VECTOR_HEAD_BYTES = 6   /* at most */
};

typedef enum { TO_FLOAT16, TO_FLOAT32, TO_FLOAT64, TO_BFLOAT16 } NumberType;

/* Frequencies of indices -most to most, and of all others together, summed; and where to look for a sum. */
typedef struct {
    const uint16_t *sums;  /* [2 * most + 3] */
    const uint8_t *starts; /* [1 << START_BITS] */
    const float *bits;     /* [2 * most + 2] */
    int most;
} IndexTable;

/* Of each union both parities: first the nearest index, then, where another than that may pay, the next towards zero. */
typedef struct {
    float level[2][4]; /* in half-steps */
    int32_t index[2][4];
} Candidates;

/* Candidates by the sum of the four nearest indices without their lowest bits, -reach to reach - 1: pointers to those of sum 0. */
typedef struct {
    const Candidates *candidates;
    const float (*bits)[2][4]; /* without low bits that are coded as they are */
    int reach;
} CandidateRows;

typedef struct {
    IndexTable tables[TABLE_KINDS][TABLE_CLASSES];
    CandidateRows rows[2][TABLE_CLASSES]; /* whether the second union holds zero */
    int16_t growth_of[GROWTHS];   /* half the logarithm of an energy, by the first bits of its float */
    uint32_t power_of[OCTAVE];    /* of 2, in 2^-31 */
} VectorTables;

typedef struct {
    int dims, latents;
    const VectorTables *tables;
    /* a rotation: */
    int block_log;             /* numbers that a Hadamard transform takes, to base 2: the first of a vector, then the last */
    uint32_t block_scale;      /* in 2^-31 */
    const int32_t *signs_2D;   /* 0 or -1 */
    /* or fitted: */
    const int16_t *forward_LD; /* NULL for a rotation; rows filled up with zeros */
    const int16_t *inverse_DL;
    int dims_stride, latents_stride;
    const int32_t *mean_D;     /* in 2^-MEAN_BITS */
    const double *mean_L;
    const int32_t *level_L;    /* logarithm of each latent's deviation, in units of that of a rotated vector's numbers */
    const int32_t *gain_L;     /* how fast the energy follows, in 2^-16 */
    int step_offset;           /* logarithm */
} VectorSpace;

/* A space with a step chosen. */
typedef struct {
    int step;
    double half_step;          /* times the norm */
    uint64_t mean_factor;
    int32_t *deviation_L;      /* logarithm, in steps */
    uint16_t *energy_L;        /* reciprocal of the expected energy: mantissa, */
    uint8_t *energy_shift_L;   /* and what the product is shifted by */
    uint8_t *with_zero_L;      /* whether the second union holds zero */
} VectorStep;

/* Of an index, but for its union. */
typedef struct {
    uint8_t class, shift; /* low bits of an index that are coded as they are */
} Expected;

/* Memory for a vector. Of several that are coded together input_D, product_D and level_L lie side by side, by the space's strides. */
typedef struct {
    int16_t *input_D, *level_L;
    int32_t *index_L, *product_D, *rotated_D;
    int32_t *row_L, *candidate_L4; /* Candidates */
    float *latent_L, *scaled_L, *cost_L4;
    uint64_t *from_L; /* a bit a state of the trellis */
    int64_t *sum_D;
    uint8_t *used_L;
    int32_t *ratio_L; /* energies of numbers against the expected ones */
    Expected *expected_L;
    uint32_t *interval_L; /* of a symbol: sum of the frequencies before, frequency */
    uint16_t *rest_L;     /* what is coded of an index behind its symbol */
} VectorWork;

/* What is written of a vector's levels. */
typedef struct {
    const VectorWork *work;
    uint8_t *out;
    size_t length;
} VectorStream;

/* What is read of a vector's levels. */
typedef struct {
    const VectorStep *step;
    const uint8_t *stream;
    size_t length;
    int good; /* whether an encoder may have written it */
} VectorBody;

typedef struct {
    double rate_weight; /* squared half-steps that a bit is worth */
    double least_cosine;
    int unit_norm;      /* 2^-unit_norm: how far from 1 a norm is taken for it */
    NumberType type;
    int flags;          /* -1, or a byte to keep */
} VectorAim;

/* Filled when they are first asked for, by one thread; NULL without memory. */
const VectorTables *nbmf_vector_tables(void);

/* 2^(log / OCTAVE), in 2^-fraction_bits, once tables are filled. */
uint64_t nbmf_power_of_two(int log, int fraction_bits);

#endif
