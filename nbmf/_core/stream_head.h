/* What stands in a stream before a record's tokens, and how a JSON value tells where it ends. */
#ifndef NBMF_STREAM_HEAD_H
#define NBMF_STREAM_HEAD_H

#include "range_coder.h"

enum { SIZE_CLASSES = 20 };

/* Shares, of SIZE_SHARES, of records of 2^n bytes to 2^(n+1) - 1. */
static const uint64_t size_share[SIZE_CLASSES] = {1, 1, 1, 1, 2, 8, 16, 36, 58, 58, 38, 18, 8, 3, 2, 1, 1, 1, 1, 1};
#define SIZE_SHARES 256

/* `n_bytes` is from 1 to 2^SIZE_CLASSES - 1. */
static void encode_size(RangeCoder *coder, size_t n_bytes, int sizing) {
    int class = 0;
    uint64_t before = 0;
    while (n_bytes >> (class + 1)) before += size_share[class++];
    encode_symbol(coder, before, size_share[class], SIZE_SHARES);
    const uint64_t least = (uint64_t)1 << class;
    if (sizing == SIZE_IN_STREAM) encode_symbol(coder, n_bytes - least, 1, least);
}

/* The least and the most bytes that the record may have. */
static void decode_size(RangeCoder *coder, int sizing, uint64_t *least, uint64_t *most) {
    const uint64_t target = decode_target(coder, SIZE_SHARES);
    uint64_t before = 0;
    int class = 0;
    while (target - before >= size_share[class]) before += size_share[class++];
    decode_advance(coder, before, size_share[class], SIZE_SHARES);
    *least = (uint64_t)1 << class;
    *most = 2 * *least - 1;
    if (sizing != SIZE_IN_STREAM) return;
    const uint64_t beyond = decode_target(coder, *least);
    decode_advance(coder, beyond, 1, *least);
    *least = *most = *least + beyond;
}

static void stream_size(const uint8_t *stream, size_t length, int sizing, uint64_t *least, uint64_t *most) {
    RangeCoder coder;
    start_decoder(&coder, stream, length);
    decode_size(&coder, sizing, least, most);
}

/* Takes in the next bytes of JSON text without white space whose value is an object, an array or a string. Returns 0 where it
 * goes on, 1 where the value ends with the last of them, -1 where it ended before. */
INLINE int json_ends(JsonEnd *json, const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t byte = bytes[i];
        if (json->escaped) json->escaped = 0;
        else if (byte == '"') json->in_string = !json->in_string;
        else if (json->in_string) json->escaped = byte == '\\';
        else if (byte == '{' || byte == '[') json->depth++;
        else if (byte == '}' || byte == ']') json->depth--;
        if (json->depth <= 0 && !json->in_string) return i + 1 == count ? 1 : -1;
    }
    return 0;
}

#endif
