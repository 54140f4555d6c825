/* Floats, every bit kept: what is predictable of each (sign and exponent, or how far it is from the one before) by counts of
 * this array's own, through the range coder; the other bits as they are. Integers only.
 */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function" /* of what range_coder.h includes */
#endif

#include "parts.h"

#include <string.h>

#include "range_coder.h"

enum {
    SYMBOLS = 66,    /* at most: distances of exponents, or lengths of differences */
    ESCAPED = 40,    /* a distance that is written as it is */
    TOP_BITS = 2,    /* of the mantissa that are counted, */
    TOP_CONTEXTS = 6, /* by the exponent's distance */
    INCREMENT = 24,
    MOST_COUNTED = 1 << 16,
    MOST_FLOATS = 1 << 20
};

/* DECIMALS are integers divided by a power of 10. */
typedef enum { ALONE, DIFFERENCES, SECOND_DIFFERENCES, DECIMALS, PREDICTORS } Predictor;

typedef struct {
    uint32_t count[SYMBOLS], total;
    int symbols;
} Tally;

typedef struct {
    RangeCoder coder;
    Tally signs, distances, tops[TOP_CONTEXTS], lengths;
    int item_bits, exponent_bits, mantissa_bits, dropped; /* low bits that are zero in all */
    uint64_t largest;  /* exponent */
    int decoding;
} FloatCoder;

/* How often a normal distribution's numbers have the largest exponent of a few hundred, the one below, ... */
static const uint8_t USUAL_DISTANCES[] = {40, 150, 190, 130, 70, 36, 18, 9, 5, 3, 2};
static const uint8_t USUAL_TOPS[TOP_CONTEXTS][1 << TOP_BITS] = {
    {120, 40, 14, 6}, {72, 54, 38, 26}, {55, 50, 46, 41}, {49, 48, 48, 47}, {48, 48, 48, 48}, {48, 48, 48, 48}};

static void start_seen(Tally *seen, int symbols, const uint8_t *usual, int n_usual, int otherwise) {
    seen->symbols = symbols;
    seen->total = 0;
    for (int i = 0; i < symbols; i++) seen->total += seen->count[i] = i < n_usual ? usual[i] : (uint32_t)otherwise;
}

static void add_seen(Tally *seen, int symbol) {
    seen->count[symbol] += INCREMENT;
    seen->total += INCREMENT;
    if (seen->total < MOST_COUNTED) return;
    seen->total = 0;
    for (int i = 0; i < seen->symbols; i++) seen->total += seen->count[i] -= seen->count[i] >> 1;
}

/* Encodes the symbol, or decodes and returns it. */
static int code_symbol(FloatCoder *floats, Tally *seen, int symbol) {
    uint32_t before = 0;
    if (floats->decoding) {
        const uint32_t target = (uint32_t)decode_target(&floats->coder, seen->total);
        for (symbol = 0; before + seen->count[symbol] <= target; symbol++) before += seen->count[symbol];
        decode_advance(&floats->coder, before, seen->count[symbol], seen->total);
    } else {
        for (int i = 0; i < symbol; i++) before += seen->count[i];
        encode_symbol(&floats->coder, before, seen->count[symbol], seen->total);
    }
    add_seen(seen, symbol);
    return symbol;
}

static uint64_t code_bits(FloatCoder *floats, uint64_t value, int bits) {
    uint64_t coded = 0;
    for (int at = bits; at > 0;) {
        const int part = at > 24 ? 24 : at;
        at -= part;
        uint64_t chunk = value >> at & (((uint64_t)1 << part) - 1);
        if (floats->decoding) {
            chunk = decode_target(&floats->coder, (uint64_t)1 << part);
            decode_advance(&floats->coder, chunk, 1, (uint64_t)1 << part);
        } else
            encode_symbol(&floats->coder, chunk, 1, (uint64_t)1 << part);
        coded |= chunk << at;
    }
    return coded;
}

static int bit_length(uint64_t value) { return value ? 64 - __builtin_clzll(value) : 0; }

/* The bits below a leading one, the first of them by what was seen at this distance from the largest. */
static uint64_t code_mantissa(FloatCoder *floats, int distance, uint64_t mantissa, int bits) {
    uint64_t coded = 0;
    if (bits >= TOP_BITS) {
        bits -= TOP_BITS;
        Tally *tops = &floats->tops[distance < TOP_CONTEXTS ? distance : TOP_CONTEXTS - 1];
        coded = (uint64_t)code_symbol(floats, tops, (int)(mantissa >> bits & ((1 << TOP_BITS) - 1))) << bits;
    }
    return coded | code_bits(floats, mantissa & (((uint64_t)1 << bits) - 1), bits);
}

static uint64_t code_alone(FloatCoder *floats, uint64_t bits) {
    const uint64_t exponents = ((uint64_t)1 << floats->exponent_bits) - 1;
    uint64_t exponent = bits >> floats->mantissa_bits & exponents;
    const uint64_t sign = (uint64_t)code_symbol(floats, &floats->signs, (int)(bits >> (floats->item_bits - 1)));
    const uint64_t distance = floats->largest - exponent;
    const int symbol = code_symbol(floats, &floats->distances, distance < ESCAPED ? (int)distance : ESCAPED);
    exponent = symbol < ESCAPED ? floats->largest - (uint64_t)symbol : code_bits(floats, exponent, floats->exponent_bits);
    const uint64_t mantissa = code_mantissa(floats, symbol, bits >> floats->dropped, floats->mantissa_bits - floats->dropped);
    return sign << (floats->item_bits - 1) | (exponent & exponents) << floats->mantissa_bits | mantissa << floats->dropped;
}

static const double POWERS_OF_10[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
enum { MOST_DIGITS = 9, MOST_DECIMAL_BITS = 53 };

/* Of integers of `largest` bits at most. */
static uint64_t code_decimal(FloatCoder *floats, uint64_t size) {
    const uint64_t distance = floats->largest - (uint64_t)bit_length(size);
    const int symbol = code_symbol(floats, &floats->distances, distance < ESCAPED ? (int)distance : ESCAPED);
    const int length = symbol < ESCAPED ? (int)floats->largest - symbol : (int)code_bits(floats, (uint64_t)bit_length(size), 6);
    if (length <= 0 || length > MOST_DECIMAL_BITS) return 0;
    return (uint64_t)1 << (length - 1) | code_mantissa(floats, symbol, size, length - 1);
}

/* Bits of a number from 0. */
static uint64_t of_decimal(uint64_t value, int digits, int item_bytes) {
    const double number = (double)value / POWERS_OF_10[digits];
    uint64_t bits = 0;
    if (item_bytes == 8) memcpy(&bits, &number, 8);
    else {
        const float single = (float)number;
        uint32_t narrow;
        memcpy(&narrow, &single, 4);
        bits = narrow;
    }
    return bits;
}

/* The integer that a number from 0 is, divided by the power of 10; -1 where it is none. */
static int64_t to_decimal(uint64_t bits, int digits, int item_bytes) {
    double number;
    if (item_bytes == 8) memcpy(&number, &bits, 8);
    else {
        const uint32_t narrow = (uint32_t)bits;
        float single;
        memcpy(&single, &narrow, 4);
        number = single;
    }
    const double scaled = number * POWERS_OF_10[digits];
    if (!(scaled < 0x1p53 - 1)) return -1;
    const int64_t value = (int64_t)(scaled + .5);
    return of_decimal((uint64_t)value, digits, item_bytes) == bits ? value : -1;
}

/* Floats as integers in the same order, and back. */
static uint64_t in_order(uint64_t bits, int item_bits, int backwards) {
    const uint64_t top = (uint64_t)1 << (item_bits - 1), all = top | (top - 1);
    return bits & top ? (backwards ? bits ^ top : ~bits & all) : (backwards ? ~bits & all : bits | top);
}

/* Of a number in order without its low bits, and what was expected; returns the number. */
static uint64_t code_difference(FloatCoder *floats, uint64_t ordered, uint64_t expected) {
    const int width = floats->item_bits - floats->dropped;
    const uint64_t all = width == 64 ? ~(uint64_t)0 : ((uint64_t)1 << width) - 1;
    uint64_t apart = (ordered - expected) & all;
    const uint64_t top = (all >> 1) + 1;
    uint64_t folded = (apart & top ? (~apart & all) << 1 | 1 : apart << 1) & all; /* 0, -1, 1, -2, ... */
    const int length = code_symbol(floats, &floats->lengths, bit_length(folded));
    if (length > 1) folded = (uint64_t)1 << (length - 1) | code_bits(floats, folded & (((uint64_t)1 << (length - 1)) - 1), length - 1);
    else folded = (uint64_t)length;
    apart = folded & 1 ? ~(folded >> 1) & all : folded >> 1;
    return (expected + apart) & all;
}

static void start_floats(FloatCoder *floats, int item_bits, int exponent_bits, int dropped, uint64_t largest) {
    floats->item_bits = item_bits;
    floats->exponent_bits = exponent_bits;
    floats->mantissa_bits = item_bits - 1 - exponent_bits;
    floats->dropped = dropped;
    floats->largest = largest;
    static const uint8_t even[] = {240, 240};
    start_seen(&floats->signs, 2, even, 2, 0);
    start_seen(&floats->distances, ESCAPED + 1, USUAL_DISTANCES, sizeof USUAL_DISTANCES, 1);
    for (int i = 0; i < TOP_CONTEXTS; i++) start_seen(&floats->tops[i], 1 << TOP_BITS, USUAL_TOPS[i], 1 << TOP_BITS, 0);
    start_seen(&floats->lengths, item_bits + 1, NULL, 0, 2);
}

static uint64_t read_item(const uint8_t *bytes, int item_bytes) {
    uint64_t value = 0;
    for (int i = 0; i < item_bytes; i++) value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

static void write_item(uint8_t *bytes, int item_bytes, uint64_t value) {
    for (int i = 0; i < item_bytes; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

static int sizes_of(int item_bytes, int exponent_bits) {
    return (item_bytes == 2 && (exponent_bits == 5 || exponent_bits == 8)) || (item_bytes == 4 && exponent_bits == 8) ||
           (item_bytes == 8 && exponent_bits == 11);
}

typedef struct {
    uint64_t last, second_last;
} Before;

/* Encodes bits, or decodes and returns them. */
static uint64_t code_float(FloatCoder *floats, Predictor predictor, uint64_t bits, Before *before) {
    if (predictor == ALONE) return code_alone(floats, bits);
    if (predictor == DECIMALS) {
        const int item_bytes = floats->item_bits / 8;
        const uint64_t top = (uint64_t)1 << (floats->item_bits - 1);
        const int negative = code_symbol(floats, &floats->signs, (bits & top) != 0);
        const uint64_t value = floats->decoding ? 0 : (uint64_t)to_decimal(bits & ~top, floats->dropped, item_bytes);
        return of_decimal(code_decimal(floats, value), floats->dropped, item_bytes) | (negative ? top : 0);
    }
    const uint64_t expected = predictor == DIFFERENCES ? before->last : 2 * before->last - before->second_last;
    const uint64_t ordered = code_difference(floats, in_order(bits, floats->item_bits, 0) >> floats->dropped, expected);
    *before = (Before){ordered, before->last};
    bits = ordered << floats->dropped;
    /* of numbers below zero the low bits are ones in that order */
    if (!(bits >> (floats->item_bits - 1))) bits |= ((uint64_t)1 << floats->dropped) - 1;
    return in_order(bits, floats->item_bits, 1);
}

static uint64_t all_bits(int bits) { return bits == 64 ? ~(uint64_t)0 : ((uint64_t)1 << bits) - 1; }

static Before before_all(const FloatCoder *floats) {
    const uint64_t zero = (in_order(0, floats->item_bits, 0) >> floats->dropped) & all_bits(floats->item_bits - floats->dropped);
    return (Before){zero, zero};
}

/* Fewest digits with which all numbers are decimals, and the bits of the largest integer; -1 where there are none. */
static int digits_of(const uint8_t *bytes, Py_ssize_t count, int item_bytes, int *largest) {
    for (int digits = 0; item_bytes > 2 && digits <= MOST_DIGITS; digits++) {
        Py_ssize_t i = 0;
        for (*largest = 0; i < count; i++) {
            const uint64_t bits = read_item(bytes + i * item_bytes, item_bytes);
            const int64_t value = to_decimal(bits & all_bits(8 * item_bytes - 1), digits, item_bytes);
            if (value < 0) break;
            const int length = bit_length((uint64_t)value);
            if (length > *largest) *largest = length;
        }
        if (i == count) return digits;
    }
    return -1;
}

PyObject *nbmf_encode_floats(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *numbers, *result = NULL;
    int item_bytes, exponent_bits, predictor;
    if (!PyArg_ParseTuple(args, "Oiii", &numbers, &item_bytes, &exponent_bits, &predictor)) return NULL;
    if (!sizes_of(item_bytes, exponent_bits) || predictor < 0 || predictor >= PREDICTORS)
        return PyErr_Format(PyExc_ValueError, "no such floats, or no such predictor");
    Held held = {0};
    Py_ssize_t length;
    const uint8_t *bytes = nbmf_array_of(&held, numbers, "numbers", 'B', -1, &length, 0);
    const Py_ssize_t count = length / item_bytes;
    if (bytes && (length % item_bytes || count < 1 || count > MOST_FLOATS)) {
        PyErr_Format(PyExc_ValueError, "%zd bytes of floats of %d", length, item_bytes);
        bytes = NULL;
    }
    uint8_t *out = bytes ? nbmf_own(&held, (size_t)count * ((size_t)item_bytes + 16) + BYTES_A_STREAM) : NULL;
    FloatCoder *floats = out ? nbmf_own(&held, sizeof *floats) : NULL;
    if (floats) {
        const int item_bits = 8 * item_bytes, mantissa_bits = item_bits - 1 - exponent_bits;
        uint64_t any = 0, largest = 0;
        for (Py_ssize_t i = 0; i < count; i++) {
            const uint64_t bits = read_item(bytes + i * item_bytes, item_bytes);
            const uint64_t exponent = bits >> mantissa_bits & all_bits(exponent_bits);
            any |= bits;
            if (exponent > largest) largest = exponent;
        }
        int dropped = any ? __builtin_ctzll(any) : mantissa_bits, digits = 0, length = 0;
        if (dropped > mantissa_bits) dropped = mantissa_bits;
        if (predictor == DECIMALS && (digits = digits_of(bytes, count, item_bytes, &length)) < 0) {
            nbmf_release(&held);
            Py_RETURN_NONE;
        }
        if (predictor == DECIMALS) {
            dropped = digits;
            largest = (uint64_t)length;
        }
        start_floats(floats, item_bits, exponent_bits, dropped, largest);
        start_encoder(&floats->coder, out);
        Before before = before_all(floats);
        for (Py_ssize_t i = 0; i < count; i++)
            code_float(floats, (Predictor)predictor, read_item(bytes + i * item_bytes, item_bytes), &before);
        const size_t size = finish_encoder(&floats->coder);
        result = Py_BuildValue("iKy#", dropped, (unsigned long long)largest, (char *)out, (Py_ssize_t)size);
    }
    nbmf_release(&held);
    return result;
}

PyObject *nbmf_decode_floats(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *stream, *out, *result = NULL;
    int item_bytes, exponent_bits, predictor, dropped;
    unsigned long long largest;
    if (!PyArg_ParseTuple(args, "OiiiiKO", &stream, &item_bytes, &exponent_bits, &predictor, &dropped, &largest, &out)) return NULL;
    const int good = sizes_of(item_bytes, exponent_bits) && predictor >= 0 && predictor < PREDICTORS && dropped >= 0 &&
                     (predictor == DECIMALS
                          ? item_bytes > 2 && dropped <= MOST_DIGITS && largest <= MOST_DECIMAL_BITS
                          : dropped <= 8 * item_bytes - 1 - exponent_bits && !(largest >> exponent_bits));
    if (!good)
        return PyErr_Format(PyExc_ValueError, "no such floats, predictor or exponent");
    Held held = {0};
    Py_ssize_t length, size;
    const uint8_t *bytes = nbmf_array_of(&held, stream, "stream", 'B', -1, &length, 0);
    uint8_t *numbers = bytes ? (uint8_t *)nbmf_array_of(&held, out, "numbers", 'B', -1, &size, 1) : NULL;
    FloatCoder *floats = numbers ? nbmf_own(&held, sizeof *floats) : NULL;
    if (floats) {
        const int item_bits = 8 * item_bytes;
        start_floats(floats, item_bits, exponent_bits, dropped, largest);
        start_decoder(&floats->coder, bytes, (size_t)length);
        floats->decoding = 1;
        Before before = before_all(floats);
        for (Py_ssize_t i = 0; i < size / item_bytes; i++)
            write_item(numbers + i * item_bytes, item_bytes, code_float(floats, (Predictor)predictor, 0, &before));
        result = Py_NewRef(Py_None);
    }
    nbmf_release(&held);
    return result;
}
