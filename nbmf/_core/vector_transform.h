/* Vectors to latents and levels back to numbers: rotations, products with a fitted transform, and the last step, which makes a
 * float of an integer times a power of 2. Integers but for that.
 */
#ifndef NBMF_VECTOR_TRANSFORM_H
#define NBMF_VECTOR_TRANSFORM_H

#include <math.h>

#include "small_floats.h"
#include "vector_lanes.h"
#include "vector_types.h"

/* ---- products and rotations ---- */

INLINE int32_t product(const int16_t *a, const int16_t *p, int stride) {
    int32_t sum = 0;
    for (int i = 0; i < stride; i++) sum += a[i] * p[i];
    return sum;
}

/* Two rows times four vectors. */
#if defined(PATH_AVX2) || defined(PATH_AVXVNNI)
INLINE __m256i read_sixteen(const int16_t *from) { return _mm256_loadu_si256((const __m256i *)from); }

INLINE __m256i with_products(__m256i sums, __m256i a, __m256i p) {
#if defined(PATH_AVXVNNI)
    return _mm256_dpwssd_avx_epi32(sums, a, p);
#else
    return _mm256_add_epi32(sums, _mm256_madd_epi16(a, p));
#endif
}

/* The sum of each. */
INLINE __m128i four_sums(__m256i a, __m256i b, __m256i c, __m256i d) {
    const __m256i halves = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
}

INLINE void products_of_two(const int16_t *a, const int16_t *p, int stride, int32_t *out, size_t out_stride) {
    const int16_t *b = a + stride, *q = p + stride, *r = q + stride, *s = r + stride;
    __m256i ap = _mm256_setzero_si256(), aq = ap, ar = ap, as = ap, bp = ap, bq = ap, br = ap, bs = ap;
    for (int i = 0; i < stride; i += 16) { /* each is read once, which the compiler does not do by itself */
        const __m256i of_p = read_sixteen(p + i), of_q = read_sixteen(q + i), of_r = read_sixteen(r + i), of_s = read_sixteen(s + i);
        const __m256i of_a = read_sixteen(a + i), of_b = read_sixteen(b + i);
        ap = with_products(ap, of_a, of_p);
        aq = with_products(aq, of_a, of_q);
        ar = with_products(ar, of_a, of_r);
        as = with_products(as, of_a, of_s);
        bp = with_products(bp, of_b, of_p);
        bq = with_products(bq, of_b, of_q);
        br = with_products(br, of_b, of_r);
        bs = with_products(bs, of_b, of_s);
    }
    const __m128i of_a = four_sums(ap, aq, ar, as), of_b = four_sums(bp, bq, br, bs);
    const __m128i first = _mm_unpacklo_epi32(of_a, of_b), last = _mm_unpackhi_epi32(of_a, of_b);
    _mm_storel_epi64((__m128i *)out, first);
    _mm_storel_epi64((__m128i *)(out + out_stride), _mm_unpackhi_epi64(first, first));
    _mm_storel_epi64((__m128i *)(out + 2 * out_stride), last);
    _mm_storel_epi64((__m128i *)(out + 3 * out_stride), _mm_unpackhi_epi64(last, last));
}
#else
INLINE void products_of_two(const int16_t *a, const int16_t *p, int stride, int32_t *out, size_t out_stride) {
    const int16_t *b = a + stride, *q = p + stride, *r = q + stride, *s = r + stride;
    int32_t ap = 0, aq = 0, ar = 0, as = 0, bp = 0, bq = 0, br = 0, bs = 0;
    for (int i = 0; i < stride; i++) {
        ap += a[i] * p[i];
        aq += a[i] * q[i];
        ar += a[i] * r[i];
        as += a[i] * s[i];
        bp += b[i] * p[i];
        bq += b[i] * q[i];
        br += b[i] * r[i];
        bs += b[i] * s[i];
    }
    const int32_t sums[4][2] = {{ap, bp}, {aq, bq}, {ar, br}, {as, bs}};
    for (int v = 0; v < 4; v++) memcpy(out + (size_t)v * out_stride, sums[v], sizeof sums[v]);
}
#endif

/* Four rows times one vector. */
INLINE void products_of_four(const int16_t *a, const int16_t *p, int stride, int32_t *out) {
    const int16_t *b = a + stride, *c = b + stride, *d = c + stride;
    int32_t of_a = 0, of_b = 0, of_c = 0, of_d = 0;
    for (int i = 0; i < stride; i++) {
        of_a += a[i] * p[i];
        of_b += b[i] * p[i];
        of_c += c[i] * p[i];
        of_d += d[i] * p[i];
    }
    const int32_t sums[4] = {of_a, of_b, of_c, of_d};
    memcpy(out, sums, sizeof sums);
}

/* int16 [rows, stride] times int16 [count, stride]: [count, out_stride]. No sum may exceed 31 bits. Several vectors pass by the
 * same rows, as the matrix is larger than the nearest caches. */
static void vector_products(const int16_t *matrix, int rows, int stride, const int16_t *x, int count, int32_t *out,
                            size_t out_stride) {
    const size_t step = (size_t)stride;
    const int in_fours = count & ~3;
    for (int row = 0; in_fours && row < rows; row += 2)
        for (int v = 0; v < in_fours; v += 4) {
            const int16_t *a = matrix + (size_t)row * step, *p = x + (size_t)v * step;
            int32_t *to = out + (size_t)v * out_stride + (size_t)row;
            if (row + 1 < rows) products_of_two(a, p, stride, to, out_stride);
            else
                for (size_t i = 0; i < 4; i++) to[i * out_stride] = product(a, p + i * step, stride);
        }
    for (int v = in_fours; v < count; v++) {
        const int16_t *p = x + (size_t)v * step;
        int32_t *to = out + (size_t)v * out_stride;
        int row = 0;
        for (; row + 4 <= rows; row += 4) products_of_four(matrix + (size_t)row * step, p, stride, to + row);
        for (; row < rows; row++) to[row] = product(matrix + (size_t)row * step, p, stride);
    }
}

INLINE Wrapping sum_and_difference(Wrapping x, Wrapping swapped, Wrapping odd) { return (x ^ odd) - odd + swapped; }

/* Hadamard's transform of 2^log numbers in place, without its scale. Sums wrap around. */
static void hadamard(uint32_t *x, int log) {
    const int n = 1 << log;
    for (int i = 0; i < n; i += LANE_COUNT) {
        Wrapping a = read_wrapping(x + i);
#if defined(EIGHT_LANES)
        a = sum_and_difference(a, SHUFFLED(a, a, 1, 0, 3, 2, 5, 4, 7, 6), (Wrapping){0, -1, 0, -1, 0, -1, 0, -1});
        a = sum_and_difference(a, SHUFFLED(a, a, 2, 3, 0, 1, 6, 7, 4, 5), (Wrapping){0, 0, -1, -1, 0, 0, -1, -1});
        a = sum_and_difference(a, SHUFFLED(a, a, 4, 5, 6, 7, 0, 1, 2, 3), (Wrapping){0, 0, 0, 0, -1, -1, -1, -1});
#else
        a = sum_and_difference(a, SHUFFLED(a, a, 1, 0, 3, 2), (Wrapping){0, -1, 0, -1});
        a = sum_and_difference(a, SHUFFLED(a, a, 2, 3, 0, 1), (Wrapping){0, 0, -1, -1});
#endif
        write_wrapping(x + i, a);
    }
    int half = LANE_COUNT;
    if ((log - LANE_LOG) & 1) {
        for (int i = 0; i < n; i += 2 * LANE_COUNT) {
            const Wrapping a = read_wrapping(x + i), b = read_wrapping(x + i + LANE_COUNT);
            write_wrapping(x + i, a + b);
            write_wrapping(x + i + LANE_COUNT, a - b);
        }
        half *= 2;
    }
    for (; half < n; half *= 4)
        for (int begin = 0; begin < n; begin += 4 * half)
            for (int i = begin; i < begin + half; i += LANE_COUNT) {
                const Wrapping p = read_wrapping(x + i), q = read_wrapping(x + i + half);
                const Wrapping r = read_wrapping(x + i + 2 * half), s = read_wrapping(x + i + 3 * half);
                const Wrapping a = p + q, b = p - q, c = r + s, d = r - s;
                write_wrapping(x + i, a + c);
                write_wrapping(x + i + half, b + d);
                write_wrapping(x + i + 2 * half, a - c);
                write_wrapping(x + i + 3 * half, b - d);
            }
}

/* Times 2^(-log / 2), to the nearest. */
static void hadamard_scaled(const VectorSpace *space, int32_t *x) {
    const int log = space->block_log, n = 1 << log;
    hadamard((uint32_t *)x, log);
    if (log & 1)
        for (int i = 0; i < n; i++) x[i] = (int32_t)(((int64_t)x[i] * space->block_scale + ((int64_t)1 << 30)) >> 31);
    else
        for (int i = 0; i < n; i++) x[i] = (x[i] >> (log / 2)) + (x[i] >> (log / 2 - 1) & 1);
}

static void flip(int32_t *x, const int32_t *signs, int n) {
    for (int i = 0; i < n; i++) x[i] = (int32_t)(((uint32_t)x[i] ^ (uint32_t)signs[i]) - (uint32_t)signs[i]);
}

/* Signs and a transform of the first numbers, then of the last, unless they are the same. */
static void rotate(const VectorSpace *space, int32_t *x_D) {
    const int dims = space->dims, n = 1 << space->block_log;
    flip(x_D, space->signs_2D, dims);
    hadamard_scaled(space, x_D);
    if (n == dims) return;
    flip(x_D, space->signs_2D + dims, dims);
    hadamard_scaled(space, x_D + dims - n);
}

static void rotate_back(const VectorSpace *space, int32_t *x_D) {
    const int dims = space->dims, n = 1 << space->block_log;
    if (n != dims) {
        hadamard_scaled(space, x_D + dims - n);
        flip(x_D, space->signs_2D + dims, dims);
    }
    hadamard_scaled(space, x_D);
    flip(x_D, space->signs_2D, dims);
}

/* ---- from levels to numbers ---- */

/* Into product_D what levels make with a fitted transform; their squares add up to MOST_LEVEL_ENERGY at most. The memory of
 * several vectors lies side by side. */
static void vectors_back(const VectorSpace *space, VectorWork *work_V, int count) {
    if (space->forward_LD)
        vector_products(space->inverse_DL, space->dims, space->latents_stride, work_V->level_L, count, work_V->product_D,
                        (size_t)space->dims_stride);
}

/* Proportional to the vector that levels stand for, once vectors_back has seen them; at most 2^31 long. */
static void vector_sums(const VectorSpace *space, const VectorStep *step, VectorWork *work) {
    const int dims = space->dims;
    if (!space->forward_LD) {
        const int shift = 15 - (space->block_log + 1) / 2;
        for (int i = 0; i < dims; i++) work->rotated_D[i] = work->level_L[i] * (1 << shift);
        rotate_back(space, work->rotated_D);
        for (int i = 0; i < dims; i++) work->sum_D[i] = work->rotated_D[i];
        return;
    }
    for (int i = 0; i < dims; i++)
        work->sum_D[i] = work->product_D[i] + ((space->mean_D[i] * (int64_t)step->mean_factor) >> 31);
}

static uint64_t square_root(uint64_t n) {
    uint64_t root = (uint64_t)sqrt((double)n);
    while (root * root > n) root--;
    while ((root + 1) * (root + 1) <= n) root++;
    return root;
}

/* Writes numbers, after vectors_back; returns 0, or -1 where the levels stand for no direction. The norm is mantissa * 2^(exponent - 16). */
static int write_vector(const VectorSpace *space, const VectorStep *step, VectorWork *work, NumberType type, uint32_t mantissa,
                        int exponent, void *out) {
    const int dims = space->dims;
    vector_sums(space, step, work);
    const int64_t *sum_D = work->sum_D;
    uint64_t energy = 0;
    for (int i = 0; i < dims; i++) energy += (uint64_t)sum_D[i] * (uint64_t)sum_D[i];
    if (energy == 0) return -1;
    const int even = __builtin_clzll(energy) & ~1; /* energy < 2^63 */
    const int raised = even - 2;
    const uint64_t root = square_root(raised >= 0 ? energy << raised : energy >> 2); /* 2^30 to 2^31 */
    const uint64_t factor = ((((uint64_t)1 << 61) / root) * mantissa) >> 17;
    /* of a number: sum / sqrt(energy) * norm = sum * factor * 2^scale */
    const int scale = exponent - 16 + 17 - 61 + raised / 2;
    if (type == TO_FLOAT32) {
        const float power = (float)ldexp(1, scale);
        for (int i = 0; i < dims; i++) ((float *)out)[i] = (float)(int64_t)((uint64_t)sum_D[i] * factor) * power;
    } else if (type == TO_FLOAT64) {
        const double power = ldexp(1, scale);
        for (int i = 0; i < dims; i++) ((double *)out)[i] = (double)(int64_t)((uint64_t)sum_D[i] * factor) * power;
    } else {
        for (int i = 0; i < dims; i++) {
            const int64_t product = (int64_t)((uint64_t)sum_D[i] * factor);
            const int negative = product < 0;
            const uint64_t size = (uint64_t)(negative ? -product : product);
            ((uint16_t *)out)[i] = type == TO_FLOAT16 ? float16_bits(negative, size, scale) : bfloat16_bits(negative, size, scale);
        }
    }
    return 0;
}

#endif
