/* Range coder: integer frequencies of any total up to 2^32 to bytes and back.
 *
 * G. N. N. Martin 1979, "Range encoding"; carries go back into the bytes already written. The range is kept in [2^48, 2^56),
 * so totals up to 2^32 cost less than 2^-16 of a bit. Integers only.
 */
#ifndef NBMF_RANGE_CODER_H
#define NBMF_RANGE_CODER_H

#include "products.h"

#define LEAST_RANGE ((uint64_t)1 << 48)
#define LOW_MASK (LEAST_RANGE - 1)
#define WHOLE_RANGE (((uint64_t)1 << 56) - 1)

static void start_encoder(RangeCoder *coder, uint8_t *out) { *coder = (RangeCoder){.range = WHOLE_RANGE, .out = out}; }

/* The top byte of low; a carry goes into the bytes before it. */
INLINE void put_byte(RangeCoder *coder) {
    const uint64_t top = coder->low >> 48;
    if (top > 255) {
        size_t back = coder->position - 1;
        while (coder->out[back] == 255) coder->out[back--] = 0;
        coder->out[back]++;
    }
    coder->out[coder->position++] = (uint8_t)top;
    coder->low = (coder->low & LOW_MASK) << 8;
}

/* `before`: the sum of the frequencies of the symbols before. 0 < frequency, before + frequency <= total <= 2^32. */
INLINE void encode_symbol(RangeCoder *coder, uint64_t before, uint64_t frequency, uint64_t total) {
    const uint64_t unit = coder->range / total;
    coder->low += unit * before;
    coder->range = unit * frequency;
    while (coder->range < LEAST_RANGE) {
        put_byte(coder);
        coder->range <<= 8;
    }
}

/* The same for a total of 2^bits, bits <= 16, faster: at most two bytes leave, and both are written in any case. */
INLINE void encode_of_power(RangeCoder *coder, uint32_t before, uint32_t frequency, int bits) {
    const uint64_t unit = coder->range >> bits;
    uint64_t low = coder->low + unit * before;
    const uint64_t range = unit * frequency;
    if (low > WHOLE_RANGE) {
        size_t back = coder->position - 1;
        while (coder->out[back] == 255) coder->out[back--] = 0;
        coder->out[back]++;
        low &= WHOLE_RANGE;
    }
    const int bytes = (range < LEAST_RANGE) + (range < LEAST_RANGE >> 8);
    coder->out[coder->position] = (uint8_t)(low >> 48);
    coder->out[coder->position + 1] = (uint8_t)(low >> 40);
    coder->position += (size_t)bytes;
    coder->low = low << (8 * bytes) & WHOLE_RANGE;
    coder->range = range << (8 * bytes);
}

/* The shortest tail that names the interval; returns the length of the stream. */
static size_t finish_encoder(RangeCoder *coder) {
    static const int zeros[] = {56, 48, 40, 32, 0};
    uint64_t value = coder->low;
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) {
        const uint64_t mask = ((uint64_t)1 << zeros[i]) - 1;
        value = (coder->low + mask) & ~mask;
        if (value - coder->low < coder->range) break;
    }
    coder->low = value;
    for (int i = 0; i < 7; i++) put_byte(coder);
    size_t length = coder->position;
    while (length > 0 && coder->out[length - 1] == 0) length--;
    return length;
}

/* Behind its end a stream goes on with zeros. */
INLINE uint64_t next_byte(RangeCoder *coder) {
    const size_t position = coder->position++;
    return position < coder->length ? coder->stream[position] : 0;
}

static void start_decoder(RangeCoder *coder, const uint8_t *stream, size_t length) {
    *coder = (RangeCoder){.range = WHOLE_RANGE, .stream = stream, .length = length};
    for (int i = 0; i < 7; i++) coder->low = coder->low << 8 | next_byte(coder);
}

/* A number below total: the symbol is the one whose interval holds it. */
INLINE uint64_t decode_target(const RangeCoder *coder, uint64_t total) {
    const uint64_t target = coder->low / (coder->range / total);
    return target < total ? target : total - 1;
}

INLINE void decode_advance(RangeCoder *coder, uint64_t before, uint64_t frequency, uint64_t total) {
    const uint64_t unit = coder->range / total;
    coder->low -= unit * before;
    coder->range = unit * frequency;
    while (coder->range < LEAST_RANGE) {
        coder->low = coder->low << 8 | next_byte(coder);
        coder->range <<= 8;
    }
}

/* The same two for a total of 2^bits, bits <= 16, faster: a symbol uses up two bytes at most. */
INLINE uint32_t decode_target_of_power(const RangeCoder *coder, int bits) {
    const uint64_t target = coder->low / (coder->range >> bits), last = ((uint64_t)1 << bits) - 1;
    return (uint32_t)(target < last ? target : last);
}

INLINE void decode_advance_of_power(RangeCoder *coder, uint32_t before, uint32_t frequency, int bits) {
    const uint64_t unit = coder->range >> bits, low = coder->low - unit * before, range = unit * frequency;
    const int used = 8 * ((range < LEAST_RANGE) + (range < LEAST_RANGE >> 8));
    uint64_t next = 0; /* bytes, the first on top */
    if (coder->position + 2 <= coder->length)
        next = (uint64_t)coder->stream[coder->position] << 8 | coder->stream[coder->position + 1];
    else if (coder->position < coder->length) next = (uint64_t)coder->stream[coder->position] << 8;
    coder->position += (size_t)used / 8;
    coder->low = low << used | next >> (16 - used);
    coder->range = range << used;
}

/* Intervals (before, frequency, total) one after the other; returns the length of the stream. */
static size_t range_encode(const uint64_t *intervals, size_t count, uint8_t *out) {
    RangeCoder coder;
    start_encoder(&coder, out);
    for (size_t i = 0; i < count; i++) encode_symbol(&coder, intervals[3 * i], intervals[3 * i + 1], intervals[3 * i + 2]);
    return finish_encoder(&coder);
}

/* Where the stream points within each total, if the symbols before had these intervals. */
static void range_decode(const uint8_t *stream, size_t length, const uint64_t *intervals, size_t count, uint64_t *targets) {
    RangeCoder coder;
    start_decoder(&coder, stream, length);
    for (size_t i = 0; i < count; i++) {
        targets[i] = decode_target(&coder, intervals[3 * i + 2]);
        decode_advance(&coder, intervals[3 * i], intervals[3 * i + 1], intervals[3 * i + 2]);
    }
}

#endif
