/* Exact products of packed int8 matrices and a few int8 vectors, as fast as the path's processor has them.
 *
 * x86's VPDPBUSD multiplies bytes without sign by bytes with sign, four products to a 32-bit lane, and never saturates: the
 * matrix is kept with 128 added, and 128 times the vector's sum is taken off again. Elsewhere on x86, PMADDUBSW does the same
 * but for sums of 16 bits, which short_sums.h makes vectors ready for. No weight is -128 (parts.c sees to that). ARM has both
 * signs (SDOT), or products of bytes that are added in pairs.
 *
 * A tile of several blocks of rows passes by several vectors, so that neither is read again from far. Its blocks lie side by
 * side, so that a matrix is read from its first byte to its last: alone, a vector waits for little else than the matrix.
 *
 * Vectors most of whose values are zero have no use for most columns: of a matrix that lies column by column, they read those
 * of the others, four at a time, and put the bytes of each row together on the way.
 */
#ifndef NBMF_PRODUCTS_H
#define NBMF_PRODUCTS_H

#include <string.h>

#include "core.h"

INLINE int padded(int size, int to) { return (size + to - 1) / to * to; }

#if defined(PATH_AVX512)
#include <immintrin.h>
enum { LANES = 16, TALL = 4, WIDE = 4, BANDS = 4 };
#define WITH_OFFSET 1
typedef __m512i Sums;
typedef __m512i Rows;
typedef __m512i Columns;
INLINE Sums no_sums(void) { return _mm512_setzero_si512(); }
INLINE Rows load_rows(const uint8_t *bytes) { return _mm512_loadu_si512(bytes); }
INLINE void interleave(Rows *of) {
    const __m512i a = _mm512_unpacklo_epi8(of[0], of[1]), b = _mm512_unpackhi_epi8(of[0], of[1]);
    const __m512i c = _mm512_unpacklo_epi8(of[2], of[3]), d = _mm512_unpackhi_epi8(of[2], of[3]);
    of[0] = _mm512_unpacklo_epi16(a, c), of[1] = _mm512_unpackhi_epi16(a, c);
    of[2] = _mm512_unpacklo_epi16(b, d), of[3] = _mm512_unpackhi_epi16(b, d);
}
INLINE Columns load_columns(const int8_t *x) {
    int32_t group;
    memcpy(&group, x, 4);
    return _mm512_set1_epi32(group);
}
INLINE Sums add_products(Sums sums, Rows rows, Columns columns) { return _mm512_dpbusd_epi32(sums, rows, columns); }
INLINE void store_sums(int32_t *out, Sums sums, int32_t taken_off) {
    _mm512_storeu_si512(out, _mm512_sub_epi32(sums, _mm512_set1_epi32(taken_off)));
}
#elif defined(PATH_AVXVNNI) || defined(PATH_AVX2)
#include <immintrin.h>
typedef __m256i Sums;
typedef __m256i Rows;
INLINE Sums no_sums(void) { return _mm256_setzero_si256(); }
INLINE Rows load_rows(const uint8_t *bytes) { return _mm256_loadu_si256((const __m256i *)bytes); }
INLINE void interleave(Rows *of) {
    const __m256i a = _mm256_unpacklo_epi8(of[0], of[1]), b = _mm256_unpackhi_epi8(of[0], of[1]);
    const __m256i c = _mm256_unpacklo_epi8(of[2], of[3]), d = _mm256_unpackhi_epi8(of[2], of[3]);
    of[0] = _mm256_unpacklo_epi16(a, c), of[1] = _mm256_unpackhi_epi16(a, c);
    of[2] = _mm256_unpacklo_epi16(b, d), of[3] = _mm256_unpackhi_epi16(b, d);
}
INLINE void store_sums(int32_t *out, Sums sums, int32_t taken_off) {
    _mm256_storeu_si256((__m256i *)out, _mm256_sub_epi32(sums, _mm256_set1_epi32(taken_off)));
}
typedef __m256i Columns;
INLINE Columns load_columns(const int8_t *x) {
    int32_t group;
    memcpy(&group, x, 4);
    return _mm256_set1_epi32(group);
}
#if defined(PATH_AVXVNNI)
enum { LANES = 8, TALL = 4, WIDE = 2, BANDS = 2 };
#define WITH_OFFSET 1
INLINE Sums add_products(Sums sums, Rows rows, Columns columns) { return _mm256_dpbusd_avx_epi32(sums, rows, columns); }
#else
enum { LANES = 8, TALL = 4, WIDE = 1, BANDS = 2 };
#define WITH_SHORTS 1
typedef __m256i Shorts;
INLINE Shorts in_all_shorts(int32_t two) { return _mm256_set1_epi32(two); }
INLINE Shorts products_of(__m256i without_sign, __m256i with_sign) { return _mm256_maddubs_epi16(without_sign, with_sign); }
INLINE Shorts add_shorts(Shorts a, Shorts b) { return _mm256_add_epi16(a, b); }
INLINE Sums add_both(Sums sums, Shorts shorts) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(shorts, _mm256_set1_epi16(1)));
}
#endif
#elif defined(PATH_SSE41)
#include <smmintrin.h>
enum { LANES = 4, TALL = 4, WIDE = 1, BANDS = 2 };
#define WITH_SHORTS 1
typedef __m128i Sums;
typedef __m128i Rows;
typedef __m128i Columns;
INLINE Sums no_sums(void) { return _mm_setzero_si128(); }
INLINE Rows load_rows(const uint8_t *bytes) { return _mm_loadu_si128((const __m128i *)bytes); }
INLINE void interleave(Rows *of) {
    const __m128i a = _mm_unpacklo_epi8(of[0], of[1]), b = _mm_unpackhi_epi8(of[0], of[1]);
    const __m128i c = _mm_unpacklo_epi8(of[2], of[3]), d = _mm_unpackhi_epi8(of[2], of[3]);
    of[0] = _mm_unpacklo_epi16(a, c), of[1] = _mm_unpackhi_epi16(a, c);
    of[2] = _mm_unpacklo_epi16(b, d), of[3] = _mm_unpackhi_epi16(b, d);
}
INLINE Columns load_columns(const int8_t *x) {
    int32_t group;
    memcpy(&group, x, 4);
    return _mm_set1_epi32(group);
}
typedef __m128i Shorts;
INLINE Shorts in_all_shorts(int32_t two) { return _mm_set1_epi32(two); }
INLINE Shorts products_of(__m128i without_sign, __m128i with_sign) { return _mm_maddubs_epi16(without_sign, with_sign); }
INLINE Shorts add_shorts(Shorts a, Shorts b) { return _mm_add_epi16(a, b); }
INLINE Sums add_both(Sums sums, Shorts shorts) { return _mm_add_epi32(sums, _mm_madd_epi16(shorts, _mm_set1_epi16(1))); }
INLINE void store_sums(int32_t *out, Sums sums, int32_t taken_off) {
    _mm_storeu_si128((__m128i *)out, _mm_sub_epi32(sums, _mm_set1_epi32(taken_off)));
}
#elif defined(PATH_NEON) || defined(PATH_NEON_DOT)
#include <arm_neon.h>
enum { LANES = 4, TALL = 4, WIDE = 4, BANDS = 4 };
typedef int32x4_t Sums;
typedef int8x16_t Rows;
typedef int8x16_t Columns;
INLINE Sums no_sums(void) { return vdupq_n_s32(0); }
INLINE Rows load_rows(const uint8_t *bytes) { return vld1q_s8((const int8_t *)bytes); }
INLINE Rows zip16(int8x16_t a, int8x16_t b, const int high) {
    const int16x8_t c = vreinterpretq_s16_s8(a), d = vreinterpretq_s16_s8(b);
    return vreinterpretq_s8_s16(high ? vzip2q_s16(c, d) : vzip1q_s16(c, d));
}
INLINE void interleave(Rows *of) {
    const int8x16_t a = vzip1q_s8(of[0], of[1]), b = vzip2q_s8(of[0], of[1]);
    const int8x16_t c = vzip1q_s8(of[2], of[3]), d = vzip2q_s8(of[2], of[3]);
    of[0] = zip16(a, c, 0), of[1] = zip16(a, c, 1), of[2] = zip16(b, d, 0), of[3] = zip16(b, d, 1);
}
INLINE Columns load_columns(const int8_t *x) {
    int32_t group;
    memcpy(&group, x, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(group));
}
INLINE Sums add_products(Sums sums, Rows rows, Columns columns) {
#if defined(PATH_NEON_DOT)
    return vdotq_s32(sums, rows, columns);
#else
    int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(rows), vget_low_s8(columns)));
    int32x4_t high = vpaddlq_s16(vmull_s8(vget_high_s8(rows), vget_high_s8(columns)));
    return vaddq_s32(sums, vpaddq_s32(low, high));
#endif
}
INLINE void store_sums(int32_t *out, Sums sums, int32_t taken_off) {
    (void)taken_off;
    vst1q_s32(out, sums);
}
#else
enum { LANES = 4, TALL = 1, WIDE = 1, BANDS = 1 };
typedef struct {
    int32_t lane[LANES];
} Sums;
typedef struct {
    int8_t byte[LANES * COLUMNS];
} Rows;
typedef const int8_t *Columns;
INLINE Sums no_sums(void) { return (Sums){{0}}; }
INLINE Rows load_rows(const uint8_t *bytes) {
    Rows rows;
    memcpy(rows.byte, bytes, sizeof rows.byte);
    return rows;
}
INLINE void interleave(Rows *of) {
    Rows made[COLUMNS];
    for (int row = 0; row < LANES * COLUMNS; row++)
        for (int column = 0; column < COLUMNS; column++)
            made[row / LANES].byte[row % LANES * COLUMNS + column] = of[column].byte[row];
    memcpy(of, made, sizeof made);
}
INLINE Columns load_columns(const int8_t *x) { return x; }
INLINE Sums add_products(Sums sums, Rows rows, Columns columns) {
    for (int lane = 0; lane < LANES; lane++)
        for (int column = 0; column < COLUMNS; column++)
            sums.lane[lane] += rows.byte[lane * COLUMNS + column] * columns[column];
    return sums;
}
INLINE void store_sums(int32_t *out, Sums sums, int32_t taken_off) {
    (void)taken_off;
    memcpy(out, sums.lane, sizeof sums.lane);
}
#endif

#ifndef WITH_OFFSET
#define WITH_OFFSET 0
#endif
#ifndef WITH_SHORTS
#define WITH_SHORTS 0
#else
#include "short_sums.h"
/* Of sparse vectors, whose values have no sign; the matrix has one. */
INLINE Sums add_products(Sums sums, Rows rows, Columns columns) { return add_both(sums, products_of(columns, rows)); }
#endif

enum {
    OFFSET = WITH_OFFSET ? 128 : 0, /* that is added to matrices of columns; */
    ROWS_OFFSET = WITH_SHORTS ? 128 : OFFSET, /* to all others */
    SOON = 16,             /* columns of a sparse product that are fetched before they are needed */
    TILE = TALL * LANES,   /* rows that pass by together */
    BAND = LANES * COLUMNS, /* rows of a column that are loaded together */
    STRIP = BANDS * BAND,   /* rows of a sparse product that pass by together */
    CHUNK = 64,            /* bytes that are fetched together */
    AHEAD = WITH_SHORTS ? 3072 : 1024 /* bytes of weights that are fetched before they are needed */
};

/* Behind a matrix stand the limits of short_sums.h, where the path has them. */
static size_t packed_bytes(int rows, int columns) {
    const size_t limits = WITH_SHORTS ? (size_t)padded(columns, 2 * CHUNK) / 2 : 0;
    return (size_t)padded(rows, MATRIX_ROWS) * (size_t)padded(columns, COLUMNS) + limits;
}

INLINE int32_t *limits_of(const Packed *matrix) {
    return (int32_t *)(void *)(matrix->bytes + (size_t)matrix->rows * (size_t)matrix->columns);
}

INLINE size_t packed_at(int tile, int columns, int row, int column) {
    return (size_t)(row / tile) * (size_t)tile * (size_t)columns + (size_t)(column / COLUMNS) * (size_t)tile * COLUMNS +
           (size_t)(row % tile) * COLUMNS + (size_t)(column % COLUMNS);
}

/* Into packed->bytes, which has room for packed_bytes. */
static void pack(const int8_t *matrix, int rows, int columns, Packed *packed) {
    packed->rows = padded(rows, MATRIX_ROWS);
    packed->columns = padded(columns, COLUMNS);
    memset(packed->bytes, ROWS_OFFSET, packed_bytes(rows, columns));
    for (int row = 0; row < rows; row++)
        for (int column = 0; column < columns; column++)
            packed->bytes[packed_at(TILE, packed->columns, row, column)] =
                (uint8_t)(matrix[(size_t)row * (size_t)columns + (size_t)column] + ROWS_OFFSET);
#if WITH_SHORTS
    find_limits(matrix, rows, columns, packed->columns / RUN_COLUMNS, limits_of(packed));
#endif
}

/* Rows of all columns of a sparse product's matrix that lie together. */
INLINE int strip_of(int rows) { return rows % STRIP ? BAND : STRIP; }

#if defined(PATH_AVX2) || defined(PATH_AVXVNNI) || defined(PATH_SSE41)
/* Of eight values the places of those whose bits are set, and how many they are. */
static uint8_t in_front[256][8], ones_of[256];

static void fill_orders(void) {
    for (int bits = 1; bits < 256 && !ones_of[255]; bits++) {
        int count = 0;
        for (int place = 0; place < 8; place++)
            if (bits >> place & 1) in_front[bits][count++] = (uint8_t)place;
        ones_of[bits] = (uint8_t)count;
    }
}
#else
static void fill_orders(void) {}
#endif

/* The same for sparse_products: strips of rows, in each column by column, in each the rows such that `interleave` brings them
 * into order. */
static void pack_columns(const int8_t *matrix, int rows, int columns, Packed *packed) {
    packed->rows = padded(rows, MATRIX_ROWS);
    packed->columns = padded(columns, COLUMNS);
    memset(packed->bytes, OFFSET, packed_bytes(rows, columns));
    const int strip = strip_of(packed->rows);
    fill_orders();
    for (int row = 0; row < rows; row++) {
        const int in_band = row % BAND, lane = in_band % LANES;
        const int at = row % strip - in_band + lane / 4 * 16 + in_band / LANES * 4 + lane % 4;
        uint8_t *to = packed->bytes + (size_t)(row - row % strip) * (size_t)packed->columns + at;
        for (int column = 0; column < columns; column++)
            to[(size_t)column * (size_t)strip] = (uint8_t)(matrix[(size_t)row * (size_t)columns + (size_t)column] + OFFSET);
    }
}

/* Sets a row of a matrix of keys of so many columns, a multiple of COLUMNS. */
INLINE void put_row(uint8_t *matrix, int columns, int row, const int8_t *values) {
    uint8_t *to = matrix + packed_at(LANES, columns, row, 0);
    for (int group = 0; group < columns / COLUMNS; group++) {
        uint32_t bytes;
        memcpy(&bytes, values + group * COLUMNS, COLUMNS);
        if (ROWS_OFFSET) bytes ^= 0x80808080u;
        memcpy(to + group * LANES * COLUMNS, &bytes, COLUMNS);
    }
}

/* Sets a column of a matrix of values, which weighted_sums reads, of so many rows: the first `count` of it. */
INLINE void put_column(int8_t *matrix, int rows, int column, const int8_t *values, int count) {
    int8_t *to = matrix + (size_t)(column - column % COLUMNS) * (size_t)rows + column % COLUMNS;
    for (int row = 0; row < count; row++) to[row * COLUMNS] = values[row];
}

INLINE int32_t offset_of(const int8_t *x, int columns) {
    int32_t sum = 0;
    if (WITH_OFFSET)
        for (int column = 0; column < columns; column++) sum += x[column];
    return OFFSET * sum;
}

/* Vectors as tiles read them. */
typedef struct {
    const int8_t *x;
    size_t stride;
    int count;
    int32_t taken_off[AT_ONCE]; /* of their sums */
#if WITH_SHORTS
    Ready ready[AT_ONCE];
#endif
} Vectors;

/* Times a matrix whose limits are `limits`; NULL: they are not known. `room` is for READY times their columns. */
INLINE Vectors vectors_of(const int8_t *x, size_t stride, int columns, int count, const int32_t *limits, int8_t *restrict room) {
    Vectors vectors;
    vectors.x = x, vectors.stride = stride, vectors.count = count;
    for (int vector = 0; vector < count; vector++, x += stride, room += READY * columns) {
#if WITH_SHORTS
        vectors.ready[vector] = make_ready(x, columns, limits, room);
        vectors.taken_off[vector] = vectors.ready[vector].taken_off;
#else
        (void)limits;
        vectors.taken_off[vector] = offset_of(x, columns);
#endif
    }
    return vectors;
}

#if WITH_SHORTS
/* A compiler that sums in another order than this runs out of registers. */
#define IN_ORDER(shorts) __asm__("" : "+x"(shorts))

/* Of vector `first` alone. What is `ahead` is fetched, if it is not 0. */
INLINE void tile(const uint8_t *rows, size_t block_bytes, size_t group_bytes, int groups, const Vectors *of, int first,
                 int32_t *out, size_t out_stride, const int blocks, const int vectors, const size_t ahead) {
    (void)vectors;
    const Ready *ready = &of->ready[first];
    const int8_t *x = ready->x;
    const uint8_t *here = rows;
    Sums sums[TALL];
    for (int block = 0; block < blocks; block++) sums[block] = no_sums();
    for (int run = 0; run < groups / RUN; run++) {
        Shorts shorts[TALL];
        for (int block = 0; block < blocks; block++) shorts[block] = in_all_shorts(ready->starts[run]);
        for (int group = 0; group < RUN; group++, here += group_bytes, x += COLUMNS) {
            const Columns columns = load_columns(x);
            for (int block = 0; block < blocks; block++) {
                const uint8_t *of_block = here + (size_t)block * block_bytes;
                if (ahead && (block_bytes >= CHUNK || block * LANES * COLUMNS % CHUNK == 0)) __builtin_prefetch(of_block + ahead);
                shorts[block] = add_shorts(shorts[block], products_of(load_rows(of_block), columns));
                IN_ORDER(shorts[block]);
            }
        }
        for (int block = 0; block < blocks; block++) sums[block] = add_both(sums[block], shorts[block]);
    }
    const uint8_t *soon = here + ahead;
    for (const Extra *extra = ready->extras, *end = extra + ready->n_extras; extra < end; extra++, soon += 2 * CHUNK) {
        const Columns columns = load_columns(extra->x);
        here = rows + (size_t)extra->group * group_bytes;
        if (ahead) __builtin_prefetch(soon), __builtin_prefetch(soon + CHUNK);
        for (int block = 0; block < blocks; block++)
            sums[block] = add_both(sums[block], products_of(load_rows(here + (size_t)block * block_bytes), columns));
    }
    out += (size_t)first * out_stride;
    for (int block = 0; block < blocks; block++)
        store_sums(out + (size_t)block * LANES, sums[block], of->taken_off[first]);
}
#else
INLINE void tile(const uint8_t *rows, size_t block_bytes, size_t group_bytes, int groups, const Vectors *of, int first,
                 int32_t *out, size_t out_stride, const int blocks, const int vectors, const size_t ahead) {
    Sums sums[TALL][WIDE];
    for (int block = 0; block < blocks; block++)
        for (int vector = 0; vector < vectors; vector++) sums[block][vector] = no_sums();
    const int8_t *x = of->x + (size_t)first * of->stride;
    for (int group = 0; group < groups; group++) {
        const uint8_t *here = rows + (size_t)group * group_bytes;
        Rows loaded[TALL];
        for (int block = 0; block < blocks; block++) {
            if (block_bytes >= CHUNK || block * LANES * COLUMNS % CHUNK == 0)
                __builtin_prefetch(here + (size_t)block * block_bytes + ahead);
            loaded[block] = load_rows(here + (size_t)block * block_bytes);
        }
        for (int vector = 0; vector < vectors; vector++) {
            Columns columns = load_columns(x + (size_t)vector * of->stride + (size_t)group * COLUMNS);
            for (int block = 0; block < blocks; block++)
                sums[block][vector] = add_products(sums[block][vector], loaded[block], columns);
        }
    }
    out += (size_t)first * out_stride;
    for (int vector = 0; vector < vectors; vector++)
        for (int block = 0; block < blocks; block++)
            store_sums(out + (size_t)vector * out_stride + (size_t)block * LANES, sums[block][vector],
                       of->taken_off[first + vector]);
}
#endif

/* Some blocks of rows times all vectors. */
INLINE void tiles(const uint8_t *rows, size_t block_bytes, size_t group_bytes, int groups, const Vectors *of, int32_t *out,
                  size_t out_stride, const int blocks, const size_t ahead) {
    for (int vector = 0; vector < of->count;) {
        const int left = of->count - vector;
#define TILES(count)                                                                                                   \
    tile(rows, block_bytes, group_bytes, groups, of, vector, out, out_stride, blocks, count, ahead), vector += count
        if (WIDE >= 4 && left >= 4) TILES(WIDE >= 4 ? 4 : 1);
        else if (WIDE >= 3 && left >= 3) TILES(WIDE >= 3 ? 3 : 1);
        else if (WIDE >= 2 && left >= 2) TILES(WIDE >= 2 ? 2 : 1);
        else if (WITH_SHORTS && vector) /* the first has fetched what the others need */
            tile(rows, block_bytes, group_bytes, groups, of, vector, out, out_stride, blocks, 1, 0), vector++;
        else TILES(1);
#undef TILES
    }
}

/* A packed matrix times up to AT_ONCE vectors; `ready_BX` has room for READY times their columns. */
static void products(const Packed *matrix, const int8_t *x, size_t x_stride, int vectors, int8_t *ready_BX, int32_t *out,
                     size_t out_stride) {
    for (int byte = 0; WITH_SHORTS && byte < AHEAD; byte += CHUNK) __builtin_prefetch(matrix->bytes + byte);
    const Vectors of = vectors_of(x, x_stride, matrix->columns, vectors, limits_of(matrix), ready_BX);
    for (int row = 0; row < matrix->rows; row += TILE)
        tiles(matrix->bytes + (size_t)row * (size_t)matrix->columns, LANES * COLUMNS, TILE * COLUMNS,
              matrix->columns / COLUMNS, &of, out + row, out_stride, TALL, AHEAD);
}

/* Rows begin to end, multiples of ROWS, of a matrix of keys times vectors, into columns begin to end of `out`. */
static void scores(const uint8_t *keys, int columns, int begin, int end, const int8_t *x, size_t x_stride, int vectors,
                   int8_t *ready_BX, int32_t *out, size_t out_stride) {
    const Vectors of = vectors_of(x, x_stride, columns, vectors, NULL, ready_BX);
    const size_t block_bytes = (size_t)LANES * (size_t)columns;
    for (int row = begin; row < end;) {
        const uint8_t *rows = keys + (size_t)row * (size_t)columns;
        if (row + TILE <= end) {
            tiles(rows, block_bytes, LANES * COLUMNS, columns / COLUMNS, &of, out + row, out_stride, TALL, TALL * block_bytes);
            row += TILE;
        } else {
            tiles(rows, block_bytes, LANES * COLUMNS, columns / COLUMNS, &of, out + row, out_stride, 1, block_bytes);
            row += LANES;
        }
    }
}

/* The same as `products`, of a matrix whose rows become keys one by one: so many that they need no filling up. */
static void key_products(const int8_t *matrix, int rows, int columns, uint8_t *keys, const int8_t *x, size_t x_stride,
                         int vectors, int8_t *ready_BX, int32_t *out, size_t out_stride) {
    for (int row = 0; row < rows; row++) put_row(keys, columns, row, matrix + (size_t)row * (size_t)columns);
    scores(keys, columns, 0, rows, x, x_stride, vectors, ready_BX, out, out_stride);
}

/* The values of a vector that are not zero, and where a packed matrix has their columns; returns how many. Both arrays have
 * room for MARGIN more. */
INLINE int nonzero(const int8_t *x, int columns, int rows, int8_t *value, int32_t *at) {
    int count = 0;
#if defined(PATH_AVX512)
    __m512i here = _mm512_slli_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), 8);
    for (int column = 0; column < columns; column += 16) {
        const __m512i values = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(x + column)));
        const __mmask16 kept = _mm512_test_epi32_mask(values, values);
        const __m512i packed = _mm512_maskz_compress_epi32(kept, _mm512_or_si512(here, values));
        _mm_storeu_si128((__m128i *)(void *)(value + count), _mm512_cvtepi32_epi8(packed));
        _mm512_storeu_si512(at + count, _mm512_mullo_epi32(_mm512_srli_epi32(packed, 8), _mm512_set1_epi32(rows)));
        here = _mm512_add_epi32(here, _mm512_set1_epi32(16 << 8));
        count += __builtin_popcount(kept);
    }
#elif defined(PATH_AVX2) || defined(PATH_AVXVNNI) || defined(PATH_SSE41)
    const __m128i shift = _mm_cvtsi32_si128(__builtin_ctz((unsigned)rows)); /* a power of two */
    __m128i here = _mm_setzero_si128();
    for (int column = 0; column < columns; column += 8, here = _mm_add_epi32(here, _mm_set1_epi32(8 * rows))) {
        const __m128i values = _mm_loadl_epi64((const __m128i *)(const void *)(x + column));
        const int there = columns - column < 8 ? 0x0F : 0xFF;
        const int kept = there & ~_mm_movemask_epi8(_mm_cmpeq_epi8(values, _mm_setzero_si128()));
        const __m128i order = _mm_loadl_epi64((const __m128i *)(const void *)in_front[kept]);
        _mm_storel_epi64((__m128i *)(void *)(value + count), _mm_shuffle_epi8(values, order));
        const __m128i first = _mm_sll_epi32(_mm_cvtepu8_epi32(order), shift);
        const __m128i second = _mm_sll_epi32(_mm_cvtepu8_epi32(_mm_srli_epi64(order, 32)), shift);
        _mm_storeu_si128((__m128i *)(void *)(at + count), _mm_add_epi32(here, first));
        _mm_storeu_si128((__m128i *)(void *)(at + count + 4), _mm_add_epi32(here, second));
        count += ones_of[kept];
    }
#else
    for (int column = 0; column < columns; column++) {
        value[count] = x[column];
        at[count] = column * rows;
        count += x[column] != 0;
    }
#endif
    return count;
}

INLINE void sparse_tile(const uint8_t *matrix, const int8_t *value, const int32_t *at, int groups, int32_t *out,
                        int32_t taken_off, const int bands) {
    Sums sums[BANDS][COLUMNS];
    for (int band = 0; band < bands; band++)
        for (int block = 0; block < COLUMNS; block++) sums[band][block] = no_sums();
    for (int group = 0; group < groups; group++, at += COLUMNS) {
        const Columns columns = load_columns(value + group * COLUMNS);
        for (int column = 0; column < COLUMNS; column++)
            for (int byte = 0; byte < bands * BAND; byte += CHUNK) __builtin_prefetch(matrix + at[SOON + column] + byte);
        for (int band = 0; band < bands; band++) {
            Rows rows[COLUMNS];
            for (int column = 0; column < COLUMNS; column++) rows[column] = load_rows(matrix + at[column] + band * BAND);
            interleave(rows);
            for (int block = 0; block < COLUMNS; block++)
                sums[band][block] = add_products(sums[band][block], rows[block], columns);
        }
    }
    for (int band = 0; band < bands; band++)
        for (int block = 0; block < COLUMNS; block++)
            store_sums(out + band * BAND + block * LANES, sums[band][block], taken_off);
}

/* A matrix of pack_columns times vectors of values of 0 to 127, most of which are zero: of each only the columns are read
 * that matter. */
static void sparse_products(const Packed *matrix, const int8_t *x, size_t x_stride, int vectors, int8_t *value, int32_t *at,
                            int32_t *out, size_t out_stride) {
    const int strip = strip_of(matrix->rows);
    for (int vector = 0; vector < vectors; vector++, x += x_stride, out += out_stride) {
        int count = nonzero(x, matrix->columns, strip, value, at);
        const int32_t taken_off = offset_of(value, count);
        for (; count % COLUMNS; count++) value[count] = 0, at[count] = 0;
        for (int more = 0; more < SOON && count; more++) /* of the next strip */
            at[count + more] = strip * matrix->columns + at[more];
        for (int row = 0; row < matrix->rows; row += strip) {
            const uint8_t *rows = matrix->bytes + (size_t)row * (size_t)matrix->columns;
            if (strip == STRIP) sparse_tile(rows, value, at, count / COLUMNS, out + row, taken_off, BANDS);
            else sparse_tile(rows, value, at, count / COLUMNS, out + row, taken_off, 1);
        }
    }
}

/* Weights of up to ATTENTION_PEAK as what weighted_sums multiplies with: bytes, low ones first and high ones `positions`
 * behind them, or negative in 16 bits, which hold -ATTENTION_PEAK but not ATTENTION_PEAK. */
INLINE void split_weights(const int32_t *weight, int count, uint8_t *digits, int positions, int at) {
#if WITH_OFFSET
    uint8_t *low = digits + at, *high = digits + positions + at;
    for (int c = 0; c < count; c++) low[c] = (uint8_t)(weight[c] & 255);
    for (int c = 0; c < count; c++) high[c] = (uint8_t)(weight[c] >> 8);
#else
    (void)positions;
    int16_t *negative = (int16_t *)(void *)digits + at;
    for (int c = 0; c < count; c++) negative[c] = (int16_t)-weight[c];
#endif
}

INLINE void no_weights(uint8_t *digits, int positions, int begin, int end) {
    if (begin >= end) return;
#if WITH_OFFSET
    memset(digits + begin, 0, (size_t)(end - begin));
    memset(digits + positions + begin, 0, (size_t)(end - begin));
#else
    (void)positions;
    memset((int16_t *)(void *)digits + begin, 0, sizeof(int16_t) * (size_t)(end - begin));
#endif
}

/* Of one block of rows: sums of values times weights as split_weights leaves them. */
#if defined(PATH_AVX512) || defined(PATH_AVXVNNI)
typedef struct {
    Columns low, high;
} Weights;
typedef struct {
    Sums low, high;
} WeightedSums;
INLINE WeightedSums no_weighted_sums(void) { return (WeightedSums){no_sums(), no_sums()}; }
INLINE Weights load_weights(const uint8_t *digits, int positions, int c) {
    return (Weights){load_columns((const int8_t *)digits + c), load_columns((const int8_t *)digits + positions + c)};
}
INLINE WeightedSums add_weighted(WeightedSums sums, const int8_t *values, Weights weights) {
    const Rows loaded = load_rows((const uint8_t *)values);
#if defined(PATH_AVX512)
    return (WeightedSums){_mm512_dpbusd_epi32(sums.low, weights.low, loaded),
                          _mm512_dpbusd_epi32(sums.high, weights.high, loaded)};
#else
    return (WeightedSums){_mm256_dpbusd_avx_epi32(sums.low, weights.low, loaded),
                          _mm256_dpbusd_avx_epi32(sums.high, weights.high, loaded)};
#endif
}
INLINE void store_weighted(int32_t *out, WeightedSums sums) {
#if defined(PATH_AVX512)
    _mm512_storeu_si512(out, _mm512_add_epi32(sums.low, _mm512_slli_epi32(sums.high, 8)));
#else
    _mm256_storeu_si256((__m256i *)(void *)out, _mm256_add_epi32(sums.low, _mm256_slli_epi32(sums.high, 8)));
#endif
}
#elif defined(PATH_AVX2)
typedef __m256i Weights;
typedef struct {
    __m256i front, back; /* of four lanes each, a lane in two parts */
} WeightedSums;
INLINE WeightedSums no_weighted_sums(void) { return (WeightedSums){_mm256_setzero_si256(), _mm256_setzero_si256()}; }
INLINE Weights load_weights(const uint8_t *digits, int positions, int c) {
    (void)positions;
    int64_t four;
    memcpy(&four, digits + 2 * c, 8);
    return _mm256_set1_epi64x(four);
}
INLINE WeightedSums add_weighted(WeightedSums sums, const int8_t *values, Weights negative) {
    const __m128i *halves = (const __m128i *)(const void *)values;
    const __m256i front = _mm256_cvtepi8_epi16(_mm_loadu_si128(halves)), back = _mm256_cvtepi8_epi16(_mm_loadu_si128(halves + 1));
    return (WeightedSums){_mm256_sub_epi32(sums.front, _mm256_madd_epi16(front, negative)),
                          _mm256_sub_epi32(sums.back, _mm256_madd_epi16(back, negative))};
}
INLINE void store_weighted(int32_t *out, WeightedSums sums) {
    __m256i whole = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sums.front, sums.back), 0xD8);
    _mm256_storeu_si256((__m256i *)(void *)out, whole);
}
#elif defined(PATH_SSE41)
typedef __m128i Weights;
typedef struct {
    __m128i front, back; /* of two lanes each, a lane in two parts */
} WeightedSums;
INLINE WeightedSums no_weighted_sums(void) { return (WeightedSums){_mm_setzero_si128(), _mm_setzero_si128()}; }
INLINE Weights load_weights(const uint8_t *digits, int positions, int c) {
    (void)positions;
    int64_t four;
    memcpy(&four, digits + 2 * c, 8);
    return _mm_set1_epi64x(four);
}
INLINE WeightedSums add_weighted(WeightedSums sums, const int8_t *values, Weights negative) {
    const __m128i loaded = _mm_loadu_si128((const __m128i *)(const void *)values);
    const __m128i front = _mm_cvtepi8_epi16(loaded), back = _mm_cvtepi8_epi16(_mm_srli_si128(loaded, 8));
    return (WeightedSums){_mm_sub_epi32(sums.front, _mm_madd_epi16(front, negative)),
                          _mm_sub_epi32(sums.back, _mm_madd_epi16(back, negative))};
}
INLINE void store_weighted(int32_t *out, WeightedSums sums) {
    _mm_storeu_si128((__m128i *)(void *)out, _mm_hadd_epi32(sums.front, sums.back));
}
#elif defined(PATH_NEON) || defined(PATH_NEON_DOT)
typedef int16x4_t Weights;
typedef struct {
    int32x4_t lane[LANES];
} WeightedSums;
INLINE WeightedSums no_weighted_sums(void) {
    return (WeightedSums){{vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)}};
}
INLINE Weights load_weights(const uint8_t *digits, int positions, int c) {
    (void)positions;
    return vld1_s16((const int16_t *)(const void *)digits + c);
}
INLINE WeightedSums add_weighted(WeightedSums sums, const int8_t *values, Weights negative) {
    const int8x16_t loaded = vld1q_s8(values);
    const int16x8_t front = vmovl_s8(vget_low_s8(loaded)), back = vmovl_s8(vget_high_s8(loaded));
    const int16x4_t lanes[LANES] = {vget_low_s16(front), vget_high_s16(front), vget_low_s16(back), vget_high_s16(back)};
    for (int lane = 0; lane < LANES; lane++) sums.lane[lane] = vmlsl_s16(sums.lane[lane], lanes[lane], negative);
    return sums;
}
INLINE void store_weighted(int32_t *out, WeightedSums sums) {
    vst1q_s32(out, vpaddq_s32(vpaddq_s32(sums.lane[0], sums.lane[1]), vpaddq_s32(sums.lane[2], sums.lane[3])));
}
#else
typedef const int16_t *Weights;
typedef Sums WeightedSums;
INLINE WeightedSums no_weighted_sums(void) { return no_sums(); }
INLINE Weights load_weights(const uint8_t *digits, int positions, int c) {
    (void)positions;
    return (const int16_t *)(const void *)digits + c;
}
INLINE WeightedSums add_weighted(WeightedSums sums, const int8_t *values, Weights negative) {
    for (int lane = 0; lane < LANES; lane++)
        for (int column = 0; column < COLUMNS; column++)
            sums.lane[lane] -= values[lane * COLUMNS + column] * negative[column];
    return sums;
}
INLINE void store_weighted(int32_t *out, WeightedSums sums) { store_sums(out, sums, 0); }
#endif

INLINE void weighted_tile(const int8_t *values, int rows, int positions, const uint8_t *digits, int first, int last,
                          int32_t *out, const int blocks) {
    WeightedSums sums[TALL];
    for (int block = 0; block < blocks; block++) sums[block] = no_weighted_sums();
    for (int c = first; c < last; c += COLUMNS) {
        const int8_t *here = values + (size_t)c * (size_t)rows;
        const Weights weights = load_weights(digits, positions, c);
        for (int block = 0; block < blocks; block++) {
            if (block * LANES * COLUMNS % CHUNK == 0) __builtin_prefetch(here + block * LANES * COLUMNS + AHEAD);
            sums[block] = add_weighted(sums[block], here + block * LANES * COLUMNS, weights);
        }
    }
    for (int block = 0; block < blocks; block++) store_weighted(out + block * LANES, sums[block]);
}

/* Sums over positions first to last, multiples of COLUMNS, of a matrix of values [rows, positions] times weights as split_weights leaves them: its
 * groups of COLUMNS positions, in each the rows. */
static void weighted_sums(const int8_t *matrix, int rows, int positions, const uint8_t *digits, int first, int last,
                          int32_t *out) {
    for (int row = 0; row < rows;) {
        const int8_t *values = matrix + row * COLUMNS;
        if (row + TILE <= rows) weighted_tile(values, rows, positions, digits, first, last, out + row, TALL), row += TILE;
        else weighted_tile(values, rows, positions, digits, first, last, out + row, 1), row += LANES;
    }
}

#endif
