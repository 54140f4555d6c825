/* Vector spaces for Python, and the numbers that the vector coder (vectors.h) works with. */
#include "parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <structmember.h>

#include "small_floats.h"

/* ---- spaces ---- */

typedef struct {
    PyObject_HEAD
    Held held;
    const Path *path;
    VectorSpace space;
    VectorStep *steps[FINEST_STEP + 1];
} SpaceObject;

static PyTypeObject *space_type;

static void free_step(VectorStep *step) {
    if (!step) return;
    free(step->deviation_L);
    free(step->energy_L);
    free(step->energy_shift_L);
    free(step->with_zero_L);
    free(step);
}

static VectorStep *new_step(const VectorSpace *space, int number) {
    const size_t latents = (size_t)space->latents;
    VectorStep *step = calloc(1, sizeof *step);
    if (!step) return NULL;
    step->deviation_L = malloc(latents * sizeof *step->deviation_L);
    step->energy_L = malloc(latents * sizeof *step->energy_L);
    step->energy_shift_L = malloc(latents);
    step->with_zero_L = malloc(latents);
    if (!step->deviation_L || !step->energy_L || !step->energy_shift_L || !step->with_zero_L) {
        free_step(step);
        return NULL;
    }
    const int half_log = HALF_STEP_LOG - number * (OCTAVE / STEPS_AN_OCTAVE) + space->step_offset;
    step->step = number;
    step->half_step = (double)nbmf_power_of_two(half_log, 40) * 0x1p-40 / sqrt(space->dims);
    uint64_t root = (uint64_t)sqrt((double)((uint64_t)space->dims << 32)); /* of the dims, in 2^-16 */
    while (root * root > (uint64_t)space->dims << 32) root--;
    while ((root + 1) * (root + 1) <= (uint64_t)space->dims << 32) root++;
    step->mean_factor = nbmf_power_of_two(-half_log, 16) * root >> 16;
    for (size_t i = 0; i < latents; i++) {
        const int32_t level = space->level_L ? space->level_L[i] : 0, in_half_steps = level - half_log;
        step->deviation_L[i] = in_half_steps - OCTAVE;
        step->with_zero_L[i] = in_half_steps < OCTAVE / 4;
        const uint64_t expected = nbmf_power_of_two(2 * in_half_steps + 2 * OCTAVE, 16) + (1 << 16); /* of 4 level^2 + 1 */
        const int length = 64 - __builtin_clzll(expected);
        const uint64_t mantissa = ((uint64_t)1 << (15 + length)) / expected;
        step->energy_L[i] = (uint16_t)(mantissa > 65535 ? 65535 : mantissa);
        step->energy_shift_L[i] = (uint8_t)(length - 13);
    }
    return step;
}

/* With the GIL. NULL with MemoryError set. */
static const VectorStep *step_of(SpaceObject *self, int number) {
    if (!self->steps[number] && !(self->steps[number] = new_step(&self->space, number))) PyErr_NoMemory();
    return self->steps[number];
}

/* As nbmf_own, at the start of a cache line. */
static void *own_lines(Held *held, size_t bytes) {
    uint8_t *memory = nbmf_own(held, bytes + 64);
    return memory ? memory + (64 - (uintptr_t)memory % 64) % 64 : NULL;
}

static int fill_rotation(VectorSpace *space, Held *held) {
    const int dims = space->dims;
    space->latents = dims;
    while (2 << space->block_log <= dims) space->block_log++;
    const int log = space->block_log;
    space->block_scale = log & 1 ? 1518500250u >> (log / 2) : (uint32_t)1 << (31 - log / 2);
    int32_t *signs = nbmf_own(held, 2 * (size_t)dims * sizeof *signs);
    if (!signs) return -1;
    uint64_t seed = 0;
    for (int i = 0; i < 2 * dims; i++) { /* G. L. Steele et al. 2014: SplitMix */
        seed += 0x9E3779B97F4A7C15u;
        uint64_t mixed = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9u;
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
        signs[i] = (mixed ^ mixed >> 31) & 1 ? -1 : 0;
    }
    space->signs_2D = signs;
    return 0;
}

static int fill_fitted(VectorSpace *space, Held *held, PyObject *arrays) {
    const Py_ssize_t dims = space->dims;
    Py_ssize_t latents;
    const int32_t *level = nbmf_array(held, arrays, "level_L", 'i', -1, &latents);
    if (!level) return -1;
    if (dims > MOST_FITTED_DIMS || latents < 1 || latents > dims) {
        PyErr_Format(PyExc_ValueError, "%zd latents of %zd dims", latents, dims);
        return -1;
    }
    Py_ssize_t offsets;
    const int16_t *forward = nbmf_array(held, arrays, "forward_LD", 'h', latents * dims, NULL);
    const int32_t *mean = forward ? nbmf_array(held, arrays, "mean_D", 'i', dims, NULL) : NULL;
    const int32_t *offset = mean ? nbmf_array(held, arrays, "step_offset", 'i', -1, &offsets) : NULL;
    if (!offset) return -1;
    space->latents = (int)latents;
    space->dims_stride = (int)(dims + 31) / 32 * 32;
    space->latents_stride = (int)(latents + 31) / 32 * 32;
    int16_t *forward_LD = own_lines(held, (size_t)latents * (size_t)space->dims_stride * 2);
    int16_t *inverse_DL = forward_LD ? own_lines(held, (size_t)dims * (size_t)space->latents_stride * 2) : NULL;
    double *mean_L = inverse_DL ? nbmf_own(held, (size_t)latents * sizeof *mean_L) : NULL;
    int32_t *gain_L = mean_L ? nbmf_own(held, (size_t)latents * sizeof *gain_L) : NULL;
    int32_t *level_L = gain_L ? nbmf_own(held, (size_t)latents * sizeof *level_L) : NULL;
    int32_t *mean_D = level_L ? nbmf_own(held, (size_t)dims * sizeof *mean_D) : NULL;
    if (!mean_D) return -1;
    const char *problem = offsets == 1 && *offset >= -OCTAVE && *offset <= OCTAVE ? NULL : "a step out of range";
    const double longest = 1.02 * ((double)(1 << (2 * FITTED_BITS)));
    for (Py_ssize_t i = 0; i < latents; i++) {
        double length = 0, projected = 0;
        for (Py_ssize_t j = 0; j < dims; j++) {
            const int16_t entry = forward[i * dims + j];
            forward_LD[i * space->dims_stride + j] = inverse_DL[j * space->latents_stride + i] = entry;
            length += (double)entry * entry;
            projected += (double)entry * mean[j];
            if (entry == -32768) problem = "a transform with -32768";
        }
        if (length > longest) problem = "a transform that is not orthonormal";
        mean_L[i] = projected * (1.0 / (1 << FITTED_BITS) / (1 << MEAN_BITS));
        if (level[i] < -32 * OCTAVE || level[i] > 8 * OCTAVE) problem = "deviations out of range";
        level_L[i] = level[i];
    }
    double mean_length = 0;
    for (Py_ssize_t j = 0; j < dims; j++) {
        double length = 0;
        for (Py_ssize_t i = 0; i < latents; i++) length += (double)forward[i * dims + j] * forward[i * dims + j];
        if (length > longest) problem = "a transform that is not orthonormal";
        mean_length += (double)mean[j] * mean[j];
        mean_D[j] = mean[j];
    }
    if (mean_length > 0x1p61) problem = "a mean that is longer than the vectors";
    if (problem) {
        PyErr_Format(PyExc_ValueError, "no vector space: %s", problem);
        return -1;
    }
    uint64_t weight = (uint64_t)16 << 16; /* of what was seen: at first that of 16 numbers, at last of 32 */
    for (Py_ssize_t i = 0; i < latents; i++) {
        weight += (1 << 16) - (weight >> 5);
        gain_L[i] = (int32_t)(((uint64_t)1 << 32) / weight);
    }
    space->forward_LD = forward_LD;
    space->inverse_DL = inverse_DL;
    space->mean_D = mean_D;
    space->mean_L = mean_L;
    space->level_L = level_L;
    space->gain_L = gain_L;
    space->step_offset = *offset;
    return 0;
}

static PyObject *space_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    static char *names[] = {"dims", "arrays", NULL};
    PyObject *arrays = Py_None;
    int dims;
    if (!PyArg_ParseTupleAndKeywords(args, named, "i|O", names, &dims, &arrays)) return NULL;
    if (dims < LEAST_DIMS || dims > MOST_DIMS)
        return PyErr_Format(PyExc_ValueError, "vectors of %d to %d numbers, not %d", LEAST_DIMS, MOST_DIMS, dims);
    SpaceObject *self = (SpaceObject *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (!self) return NULL;
    self->path = nbmf_chosen_path();
    self->space.dims = dims;
    self->space.tables = nbmf_vector_tables();
    if (arrays == Py_None ? fill_rotation(&self->space, &self->held) : fill_fitted(&self->space, &self->held, arrays))
        Py_CLEAR(self);
    return (PyObject *)self;
}

static void space_free(PyObject *object) {
    SpaceObject *self = (SpaceObject *)object;
    for (int step = 0; step <= FINEST_STEP; step++) free_step(self->steps[step]);
    nbmf_release(&self->held);
    PyTypeObject *type = Py_TYPE(object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

/* ---- coding ---- */

enum { TOGETHER = 16 }; /* vectors that pass by a fitted transform */

static int vectors_together(const VectorSpace *space, Py_ssize_t count) {
    const int most = space->forward_LD ? TOGETHER : 2;
    return count < 1 ? 1 : count < most ? (int)count : most;
}

/* For so many vectors that are coded together; what is of one only while it is coded is common to all. */
static int new_work(const VectorSpace *space, Held *held, VectorWork *work_V, int count) {
    const size_t dims = (size_t)(space->forward_LD ? space->dims_stride : space->dims);
    const size_t latents = (size_t)(space->forward_LD ? space->latents_stride : space->latents), all = (size_t)count;
    VectorWork work = {0};
    if (!(work.input_D = own_lines(held, 2 * all * dims)) || !(work.level_L = own_lines(held, 2 * all * latents)) ||
        !(work.product_D = own_lines(held, 4 * all * dims)) || !(work.latent_L = own_lines(held, 4 * all * latents)) ||
        !(work.index_L = own_lines(held, 4 * all * latents)) || !(work.rotated_D = own_lines(held, 4 * dims)) ||
        !(work.row_L = own_lines(held, 4 * latents)) || !(work.candidate_L4 = own_lines(held, 16 * latents)) ||
        !(work.scaled_L = own_lines(held, 4 * latents)) || !(work.cost_L4 = own_lines(held, 16 * latents)) ||
        !(work.from_L = own_lines(held, 8 * latents)) || !(work.sum_D = own_lines(held, 8 * dims)) ||
        !(work.used_L = own_lines(held, latents)) || !(work.ratio_L = own_lines(held, 4 * latents)) ||
        !(work.expected_L = own_lines(held, sizeof(Expected) * latents)) ||
        !(work.interval_L = own_lines(held, 4 * all * latents)) || !(work.rest_L = own_lines(held, 2 * all * latents)))
        return -1;
    for (int v = 0; v < count; v++) {
        work_V[v] = work;
        work.input_D += dims;
        work.product_D += dims;
        work.level_L += latents;
        work.latent_L += latents;
        work.index_L += latents;
        work.interval_L += latents;
        work.rest_L += latents;
    }
    return 0;
}

static size_t item_bytes(NumberType type) { return type == TO_FLOAT64 ? 8 : type == TO_FLOAT32 ? 4 : 2; }

static void read_numbers(const void *numbers, NumberType type, double *x_D, int dims) {
    if (type == TO_FLOAT64) memcpy(x_D, numbers, (size_t)dims * sizeof *x_D);
    else if (type == TO_FLOAT32)
        for (int i = 0; i < dims; i++) x_D[i] = ((const float *)numbers)[i];
    else
        for (int i = 0; i < dims; i++) {
            const uint16_t bits = ((const uint16_t *)numbers)[i];
            const uint32_t wide = (uint32_t)bits << 16;
            float value;
            memcpy(&value, &wide, sizeof value);
            x_D[i] = value;
            if (type == TO_BFLOAT16) continue;
            x_D[i] = (bits >> 10 & 31) == 31 ? NAN : (double)float16_in_units(bits) * 0x1p-24;
        }
}

static double cosine(const Path *path, const double *x, double norm, const double *y, int dims) {
    const double energy = path->dot_product(y, y, dims);
    return energy > 0 && energy < INFINITY ? path->dot_product(x, y, dims) / norm / sqrt(energy) : -1;
}

typedef struct {
    double norm, factor;
    uint32_t mantissa;
    int exponent, unit;
} Norm;

/* 0, or -1 for a vector that has no direction or is out of range. */
static int measure(const Path *path, const double *x, int dims, int unit_bits, Norm *norm) {
    const double length = sqrt(path->dot_product(x, x, dims));
    int exponent;
    if (!(length > 0x1p-100 && length < 0x1p100)) return -1;
    double mantissa = rint(ldexp(frexp(length, &exponent), 17));
    if (mantissa == 0x1p17) {
        mantissa = 0x1p16;
        exponent++;
    }
    *norm = (Norm){length, 1 / length, (uint32_t)mantissa, exponent - 1, fabs(length - 1) <= ldexp(1, -unit_bits)};
    if (norm->unit) {
        norm->mantissa = 1 << 16;
        norm->exponent = 0;
    }
    return 0;
}

static size_t write_head(uint8_t *out, const VectorAim *aim, const Norm *norm, int step) {
    size_t at = 1;
    const int shorter = step >= FIRST_SHORT_STEP && step < FIRST_SHORT_STEP + SHORT_STEPS;
    out[0] = (uint8_t)((int)aim->type | !norm->unit << 2 | (aim->flags >= 0) << 3 |
                       (shorter ? step - FIRST_SHORT_STEP : SHORT_STEPS) << 4);
    if (aim->flags >= 0) out[at++] = (uint8_t)aim->flags;
    if (!shorter) out[at++] = (uint8_t)step;
    if (!norm->unit) {
        out[at++] = (uint8_t)(int8_t)norm->exponent;
        out[at++] = (uint8_t)norm->mantissa;
        out[at++] = (uint8_t)(norm->mantissa >> 8);
    }
    return at;
}

/* What `write_head` wrote; 0 where it did not. */
static size_t read_head(const uint8_t *body, size_t length, NumberType *type, Norm *norm, int *step) {
    if (!length) return 0;
    const int with_norm = body[0] >> 2 & 1, with_flags = body[0] >> 3 & 1, shorter = body[0] >> 4;
    size_t at = 1 + (size_t)with_flags;
    *type = (NumberType)(body[0] & 3);
    *step = FIRST_SHORT_STEP + shorter;
    if (shorter == SHORT_STEPS) {
        if (at >= length) return 0;
        *step = body[at++];
        if (*step > FINEST_STEP || (*step >= FIRST_SHORT_STEP && *step < FIRST_SHORT_STEP + SHORT_STEPS)) return 0;
    }
    norm->mantissa = 1 << 16;
    norm->exponent = 0;
    if (with_norm) {
        if (at + 3 > length) return 0;
        norm->exponent = (int8_t)body[at];
        norm->mantissa |= (uint32_t)body[at + 1] | (uint32_t)body[at + 2] << 8;
        if (norm->exponent < -101 || norm->exponent > 100) return 0;
        at += 3;
    }
    return at;
}

/* ---- latents as float16, without entropy coding ---- */

static const VectorStep PLAIN = {.mean_factor = (uint64_t)1 << 31}; /* levels in 2^-FITTED_BITS of the norm */

static int set_plain_level(VectorWork *work, int i, uint16_t bits) {
    if ((bits >> 10 & 31) >= 16) return -1; /* 2 and more */
    const int64_t level = (float16_in_units(bits) + (1 << (23 - FITTED_BITS))) >> (24 - FITTED_BITS);
    work->level_L[i] = (int16_t)(level > LARGEST_LEVEL ? LARGEST_LEVEL : level < -LARGEST_LEVEL ? -LARGEST_LEVEL : level);
    return 0;
}

static int decode_plain(const VectorSpace *space, VectorWork *work, const uint8_t *bytes, size_t length) {
    if (length != 2 * (size_t)space->latents) return -1;
    int64_t energy = 0;
    for (int i = 0; i < space->latents; i++) {
        if (set_plain_level(work, i, (uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8))) return -1;
        energy += work->level_L[i] * work->level_L[i];
    }
    return energy > 4 * (int64_t)MOST_LEVEL_ENERGY ? -1 : 0;
}

static size_t encode_plain(const VectorSpace *space, VectorWork *work, uint8_t *out) {
    for (int i = 0; i < space->latents; i++) {
        const double x = rint(work->latent_L[i] * 0x1p40);
        const uint16_t bits = float16_bits(x < 0, (uint64_t)fabs(x), -40);
        out[2 * i] = (uint8_t)bits;
        out[2 * i + 1] = (uint8_t)(bits >> 8);
    }
    return decode_plain(space, work, out, 2 * (size_t)space->latents) ? 0 : 2 * (size_t)space->latents;
}

enum { TIGHTER = STEPS_AN_OCTAVE * 3 / 8 };

/* A vector on its way. */
typedef struct {
    VectorWork *work;
    double *x_D;
    Norm norm;
    int has_direction;
    uint8_t *body, *decoded;
    size_t length; /* of the body; 0 for none */
    double cosine;
} Coded;

/* The levels, and bodies of them; none where finer steps have none either. */
static void encode_latents(const SpaceObject *self, const VectorStep *step, const VectorAim *aim, int plain, Coded *coded, int count) {
    VectorStream stream_V[TOGETHER];
    Coded *of_stream[TOGETHER];
    int streams = 0;
    for (int v = 0; v < count; v++) {
        Coded *one = &coded[v];
        one->length = 0;
        if (!one->has_direction) continue;
        const size_t head = write_head(one->body, aim, &one->norm, plain ? USUAL_STEP : step->step);
        if (plain) {
            const size_t length = encode_plain(&self->space, one->work, one->body + head);
            if (length) one->length = head + length;
        } else if (self->path->quantise_vector(&self->space, step, one->work, aim->rate_weight)) {
            one->length = head;
            stream_V[streams] = (VectorStream){.work = one->work, .out = one->body + head};
            of_stream[streams++] = one;
        }
        if (!one->length) /* levels that may be too large for products */
            memset(one->work->level_L, 0, (size_t)self->space.latents * sizeof *one->work->level_L);
    }
    self->path->encode_streams(&self->space, stream_V, streams);
    for (int i = 0; i < streams; i++) of_stream[i]->length = stream_V[i].length ? of_stream[i]->length + stream_V[i].length : 0;
}

/* What the levels decode to, and its cosine with the vector. */
static void decode_latents(const SpaceObject *self, const VectorStep *step, NumberType type, Coded *one, double *y_D) {
    const VectorSpace *space = &self->space;
    one->cosine = -1;
    if (self->path->write_vector(space, step, one->work, type, one->norm.mantissa, one->norm.exponent, one->decoded)) return;
    read_numbers(one->decoded, type, y_D, space->dims);
    one->cosine = cosine(self->path, one->x_D, one->norm.norm, y_D, space->dims);
}

/* Several, at the first step. */
static void encode_together(const SpaceObject *self, const VectorStep *step, const VectorAim *aim, int plain, Coded *coded,
                            int count, double *y_D) {
    double factor_V[TOGETHER];
    for (int v = 0; v < count; v++) {
        Coded *one = &coded[v];
        one->has_direction = measure(self->path, one->x_D, self->space.dims, aim->unit_norm, &one->norm) == 0;
        factor_V[v] = one->has_direction ? one->norm.factor : 0;
        if (!one->has_direction) memset(one->x_D, 0, (size_t)self->space.dims * sizeof *one->x_D); /* NaN, maybe */
    }
    self->path->analyse_vectors(&self->space, coded->x_D, factor_V, coded->work, count);
    encode_latents(self, step, aim, plain, coded, count);
    self->path->vectors_back(&self->space, coded->work, count);
    for (int v = 0; v < count; v++)
        if (coded[v].length > 0) decode_latents(self, step, aim->type, &coded[v], y_D);
}

/* With the GIL: at finer steps, until the vector is near enough. 0, or -1 with an error set. */
static int encode_finer(SpaceObject *self, int number, const VectorAim *aim, Coded *one, double *y_D) {
    while (one->length > 0 && !(one->cosine >= aim->least_cosine)) {
        number += TIGHTER;
        if (number > FINEST_STEP) {
            one->length = 0;
            break;
        }
        const VectorStep *step = step_of(self, number);
        if (!step) return -1;
        Py_BEGIN_ALLOW_THREADS
        encode_latents(self, step, aim, 0, one, 1);
        self->path->vectors_back(&self->space, one->work, 1);
        if (one->length > 0) decode_latents(self, step, aim->type, one, y_D);
        Py_END_ALLOW_THREADS
    }
    return 0;
}

static PyObject *space_encode(PyObject *object, PyObject *args) {
    SpaceObject *self = (SpaceObject *)object;
    const VectorSpace *space = &self->space;
    PyObject *vectors, *decoded, *cosines, *result = NULL;
    VectorAim aim;
    int type, first_step, plain;
    if (!PyArg_ParseTuple(args, "OiiiddiOOp", &vectors, &type, &aim.flags, &first_step, &aim.rate_weight, &aim.least_cosine,
                          &aim.unit_norm, &decoded, &cosines, &plain))
        return NULL;
    if (plain && !space->forward_LD) return PyErr_Format(PyExc_ValueError, "latents as float16 are of a fitted space");
    if (plain) first_step = FINEST_STEP; /* there is one only */
    if (type < TO_FLOAT16 || type > TO_BFLOAT16 || first_step < 0 || first_step > FINEST_STEP || aim.flags > 255)
        return PyErr_Format(PyExc_ValueError, "type, step or flags out of range");
    const VectorStep *step = plain ? &PLAIN : step_of(self, first_step);
    if (!step) return NULL;
    aim.type = (NumberType)type;
    Held held = {0};
    VectorWork work_V[TOGETHER];
    Coded coded[TOGETHER];
    Py_ssize_t count;
    double *cosine_V = (double *)nbmf_array_of(&held, cosines, "cosines", 'd', -1, &count, 1);
    const int together = vectors_together(space, count);
    const size_t dims = (size_t)space->dims, bytes = dims * item_bytes(aim.type), most = (size_t)space->latents * 16 + 64;
    const Py_ssize_t all = cosine_V ? count * (Py_ssize_t)bytes : 0;
    const uint8_t *x_VD = cosine_V ? nbmf_array_of(&held, vectors, "vectors", 'B', all, NULL, 0) : NULL;
    uint8_t *decoded_VD = x_VD ? (uint8_t *)nbmf_array_of(&held, decoded, "decoded", 'B', all, NULL, 1) : NULL;
    double *x_BD = decoded_VD ? nbmf_own(&held, (size_t)(together + 1) * dims * sizeof *x_BD) : NULL;
    double *y_D = x_BD ? x_BD + (size_t)together * dims : NULL;
    uint8_t *bodies = y_D ? nbmf_own(&held, (size_t)together * (most + bytes)) : NULL;
    if (bodies && !new_work(space, &held, work_V, together)) result = PyList_New(0);
    for (Py_ssize_t v = 0; result && v < count; v += together) {
        const int here = count - v < together ? (int)(count - v) : together;
        Py_BEGIN_ALLOW_THREADS
        for (int i = 0; i < here; i++) {
            double *x_D = x_BD + (size_t)i * dims;
            coded[i] = (Coded){.work = &work_V[i], .x_D = x_D, .body = bodies + (size_t)i * most};
            coded[i].decoded = bodies + (size_t)together * most + (size_t)i * bytes;
            memcpy(coded[i].decoded, x_VD + (size_t)(v + i) * bytes, bytes); /* may lie anywhere */
            read_numbers(coded[i].decoded, aim.type, x_D, space->dims);
        }
        encode_together(self, step, &aim, plain, coded, here, y_D);
        Py_END_ALLOW_THREADS
        for (int i = 0; result && i < here; i++) {
            Coded *one = &coded[i];
            if (encode_finer(self, first_step, &aim, one, y_D)) Py_CLEAR(result);
            else {
                cosine_V[v + i] = one->length > 0 ? one->cosine : 1;
                if (one->length > 0) memcpy(decoded_VD + (size_t)(v + i) * bytes, one->decoded, bytes);
                PyObject *body =
                    one->length > 0 ? PyBytes_FromStringAndSize((char *)one->body, (Py_ssize_t)one->length) : Py_NewRef(Py_None);
                if (!body || PyList_Append(result, body)) Py_CLEAR(result);
                Py_XDECREF(body);
            }
        }
    }
    nbmf_release(&held);
    return result;
}

/* A body that is read. */
typedef struct {
    PyObject *held; /* another thread may take it out of its list */
    Norm norm;
    int good;
} Read;

/* With the GIL: a body's head; -1 with an error set. */
static int read_body(SpaceObject *self, PyObject *bodies, Py_ssize_t at, int type, int plain, Read *read, VectorBody *body) {
    char *bytes;
    Py_ssize_t length;
    NumberType found;
    int number;
    if (at >= PyList_Size(bodies)) {
        PyErr_SetString(PyExc_ValueError, "the list of bodies was changed");
        return -1;
    }
    *read = (Read){.held = Py_NewRef(PyList_GetItem(bodies, at))};
    if (PyBytes_AsStringAndSize(read->held, &bytes, &length)) return -1;
    const size_t head = read_head((const uint8_t *)bytes, (size_t)length, &found, &read->norm, &number);
    read->good = head && (int)found == type;
    *body = (VectorBody){.step = &PLAIN, .stream = (const uint8_t *)bytes + head, .length = (size_t)length - head};
    if (!plain) body->step = step_of(self, read->good ? number : USUAL_STEP);
    return body->step ? 0 : -1;
}

/* Their numbers, into decoded_VD, of those that are good. */
static void decode_together(const SpaceObject *self, int type, int plain, VectorWork *work_V, Read *read_V, VectorBody *body_V,
                            int count, void *written, uint8_t *decoded_VD) {
    const VectorSpace *space = &self->space;
    const size_t bytes = (size_t)space->dims * item_bytes((NumberType)type);
    if (!plain) self->path->decode_vectors(space, work_V, body_V, count);
    for (int v = 0; v < count; v++) {
        if (plain) body_V[v].good = decode_plain(space, &work_V[v], body_V[v].stream, body_V[v].length) == 0;
        read_V[v].good &= body_V[v].good;
        if (!body_V[v].good) /* levels that may be too large for products */
            memset(work_V[v].level_L, 0, (size_t)space->latents * sizeof *work_V[v].level_L);
    }
    self->path->vectors_back(space, work_V, count);
    for (int v = 0; v < count; v++) {
        Read *read = &read_V[v];
        read->good = read->good && self->path->write_vector(space, body_V[v].step, &work_V[v], (NumberType)type,
                                                            read->norm.mantissa, read->norm.exponent, written) == 0;
        if (read->good) memcpy(decoded_VD + (size_t)v * bytes, written, bytes);
    }
}

static PyObject *space_decode(PyObject *object, PyObject *args) {
    SpaceObject *self = (SpaceObject *)object;
    const VectorSpace *space = &self->space;
    PyObject *bodies, *decoded, *result = NULL;
    int type, plain;
    if (!PyArg_ParseTuple(args, "O!iOp", &PyList_Type, &bodies, &type, &decoded, &plain)) return NULL;
    if (plain && !space->forward_LD) return PyErr_Format(PyExc_ValueError, "latents as float16 are of a fitted space");
    if (type < TO_FLOAT16 || type > TO_BFLOAT16) return PyErr_Format(PyExc_ValueError, "type out of range");
    Held held = {0};
    VectorWork work_V[TOGETHER];
    VectorBody body_V[TOGETHER];
    Read read_V[TOGETHER];
    const Py_ssize_t count = PyList_Size(bodies), bytes = space->dims * (Py_ssize_t)item_bytes((NumberType)type);
    const int together = vectors_together(space, count);
    uint8_t *decoded_VD = (uint8_t *)nbmf_array_of(&held, decoded, "decoded", 'B', count * bytes, NULL, 1);
    void *written = decoded_VD ? nbmf_own(&held, (size_t)bytes) : NULL;
    if (written && !new_work(space, &held, work_V, together)) result = PyList_New(0);
    for (Py_ssize_t v = 0; result && v < count; v += together) {
        const int here = count - v < together ? (int)(count - v) : together;
        int read = 0;
        for (int failed = 0; !failed && read < here; read++) {
            read_V[read].held = NULL;
            failed = read_body(self, bodies, v + read, type, plain, &read_V[read], &body_V[read]);
            if (failed) Py_CLEAR(result);
        }
        if (result) {
            Py_BEGIN_ALLOW_THREADS
            decode_together(self, type, plain, work_V, read_V, body_V, here, written, decoded_VD + v * bytes);
            Py_END_ALLOW_THREADS
        }
        for (int i = 0; i < read; i++) {
            Py_XDECREF(read_V[i].held);
            if (result && PyList_Append(result, read_V[i].good ? Py_True : Py_False)) Py_CLEAR(result);
        }
    }
    nbmf_release(&held);
    return result;
}

static PyMethodDef space_methods[] = {
    {"encode", space_encode, METH_VARARGS,
     "encode(vectors, type, flags, step, rate_weight, least_cosine, unit_bits, decoded, cosines): bodies, None of some."},
    {"decode", space_decode, METH_VARARGS, "decode(bodies, type, decoded): which are good."},
    {NULL, NULL, 0, NULL}};
static PyMemberDef space_members[] = {{NULL, 0, 0, 0, NULL}};
static PyType_Slot space_slots[] = {
    {Py_tp_new, space_new}, {Py_tp_dealloc, space_free}, {Py_tp_methods, space_methods}, {Py_tp_members, space_members},
    {Py_tp_doc, "How vectors of some number of dims are transformed and coded."}, {0, NULL}};
static PyType_Spec space_spec = {"nbmf._core.VectorSpace", sizeof(SpaceObject), 0, Py_TPFLAGS_DEFAULT, space_slots};

int nbmf_add_vectors(PyObject *module) {
    if (!nbmf_vector_tables()) {
        PyErr_NoMemory();
        return -1;
    }
    space_type = (PyTypeObject *)PyType_FromSpec(&space_spec);
    return space_type ? PyModule_AddObjectRef(module, "VectorSpace", (PyObject *)space_type) : -1;
}
