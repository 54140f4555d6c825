/* Whole records: tokens to a stream and back; prediction, adaptation and range coder joined.
 *
 * Both directions run the same functions in the same order on the same integers; the decoder has nothing but the stream, the
 * type of the record and its length in bytes. Encoding takes the network through many tokens of one record at once; decoding
 * through the next of many records.
 */
#ifndef NBMF_RECORD_LOOP_H
#define NBMF_RECORD_LOOP_H

#include "adaptation.h"
#include "network.h"
#include "range_coder.h"
#include "work.h"

/* Two kinds of frequencies, each times its factor, together at most SCALE; returns their sum. */
static int64_t add_scaled(const int32_t *restrict first_V, float first, const int32_t *restrict second_V, float second,
                          int count, int32_t *restrict out_V) {
    int32_t total = 0;
    for (int token = 0; token < count; token++) {
        const int32_t frequency = (int32_t)((float)first_V[token] * first + (float)second_V[token] * second) + 1;
        out_V[token] = frequency;
        total += frequency;
    }
    return total;
}

/* What is expected after the token `last` before the record's own counts are asked: network, static counts, or both, whose
 * share was fitted for each situation. Frequencies; returns their sum. */
static int64_t predict(const Model *model, Work *work, Followed *known, int64_t last, const int32_t *network_V,
                       int64_t network_total, const int32_t **base_V, double *confidence) {
    const Counts *counts = model->counts;
    int32_t best;
    if (!model->network) {
        follow(counts, known, last);
        const int64_t total = fill_from_counts(counts, known, work->base_V, &best);
        *base_V = work->base_V;
        *confidence = (double)best / (double)total;
        return total;
    }
    const double sure = (double)FREQUENCY_PEAK / (double)network_total;
    if (!counts) {
        *base_V = network_V;
        *confidence = sure;
        return network_total;
    }
    follow(counts, known, last);
    const int64_t counts_total = fill_from_counts(counts, known, work->counts_V, &best);
    const double counts_sure = (double)best / (double)counts_total;
    const double share = model->constants->network_share[longest_context(known)][confidence_bucket(counts_sure)]
                                                        [confidence_bucket(sure)];
    const float network_factor = (float)(share * SCALE / (double)network_total);
    const float counts_factor = (float)((1.0 - share) * SCALE / (double)counts_total);
    const int64_t total =
        add_scaled(network_V, network_factor, work->counts_V, counts_factor, model->vocab, work->base_V);
    *base_V = work->base_V;
    *confidence = share * sure + (1.0 - share) * counts_sure;
    return total;
}

/* What is expected after each of some inputs, a type id first: frequencies [T, vocabulary], the highest probability, and the
 * contexts of the static counts [T, CONTEXTS]. */
static void predictions(const Model *model, Work *work, const int32_t *inputs, int64_t count, const int32_t *frequency_TV,
                        int32_t *base_TV, double *confidence_T, int64_t *contexts_TO) {
    const size_t V = (size_t)model->vocab;
    Followed known[CONTEXTS];
    for (int length = 0; length < CONTEXTS; length++) forget_context(&known[length]);
    for (int64_t position = 0; position < count; position++) {
        const int32_t *network_V = frequency_TV ? frequency_TV + (size_t)position * V : NULL, *base_V;
        int64_t total = 0;
        for (size_t token = 0; network_V && token < V; token++) total += network_V[token];
        predict(model, work, known, inputs[position], network_V, total, &base_V, &confidence_T[position]);
        memcpy(base_TV + (size_t)position * V, base_V, V * sizeof *base_V);
        for (int length = 0; length < CONTEXTS; length++) contexts_TO[position * CONTEXTS + length] = known[length].context;
    }
}

typedef struct {
    int gate, copy_gate;
    double trust;
    const int32_t *base_V;
    int64_t base_total, total;
} Mixture;

/* Frequencies for the next token into work->mixed_V. */
INLINE Mixture mix(const Model *model, Work *work, Memory *memory, int64_t last, const int32_t *network_V,
                   int64_t network_total) {
    Mixture mixture;
    double confidence, likely = 0.0;
    mixture.base_total =
        predict(model, work, memory->followed, last, network_V, network_total, &mixture.base_V, &confidence);
    find_contexts(memory);
    mixture.trust = 0.0;
    const int64_t copied = copy_token(memory);
    if (copied >= 0) {
        likely = (double)mixture.base_V[copied] / (double)mixture.base_total;
        mixture.trust = copy_trust(memory, model->constants, likely);
    }
    mixture.gate = gate_of(memory, confidence);
    mixture.copy_gate = copy_gate_of(memory, likely);
    mix_weights(memory, mixture.gate, mixture.copy_gate);
    mixture.total = fill_frequencies(memory, model->constants, mixture.base_V, mixture.base_total, mixture.trust,
                                     model->vocab, work->mixed_V, work->blocks);
    return mixture;
}

INLINE void learn_token(const Model *model, Memory *memory, const Mixture *mixture, int64_t token) {
    const double share = (double)mixture->base_V[token] / (double)mixture->base_total;
    token_probabilities(memory, model->constants, token, share, mixture->trust);
    learn(memory, model->constants, token, mixture->gate, mixture->copy_gate);
}

INLINE uint64_t sum_before(const Work *work, int64_t token) {
    int64_t before = 0, symbol = 0;
    for (; symbol + BLOCK <= token; symbol += BLOCK) before += work->blocks[symbol / BLOCK];
    for (; symbol < token; symbol++) before += work->mixed_V[symbol];
    return (uint64_t)before;
}

/* The symbol whose interval holds a target, which is below the sum of all. */
INLINE int64_t find_symbol(const Work *work, uint64_t target, uint64_t *before) {
    uint64_t sum = 0;
    int64_t symbol = 0;
    while (sum + (uint64_t)work->blocks[symbol / BLOCK] <= target) {
        sum += (uint64_t)work->blocks[symbol / BLOCK];
        symbol += BLOCK;
    }
    while (sum + (uint64_t)work->mixed_V[symbol] <= target) sum += (uint64_t)work->mixed_V[symbol++];
    *before = sum;
    return symbol;
}

static void start_record(const Model *model, Work *work, int slot) {
    start_memory(&work->records_S[slot], model->constants, model->vocab);
    if (model->network && work->x_BD) start_cache(model->network, &work->caches_S[slot]);
}

/* Goes on with the record of slot 0, whose network's frequencies are worked out, by whichever engine. */
static int encode_tokens(const Model *model, Work *work, RangeCoder *coder, const int32_t *frequency_BV, size_t stride,
                         const int64_t *total_B, int64_t *last, const int32_t *tokens, int count) {
    Memory *memory = &work->records_S[0];
    for (int b = 0; b < count; b++) {
        const int64_t token = tokens[b];
        const Mixture mixture = mix(model, work, memory, *last, frequency_BV ? frequency_BV + (size_t)b * stride : NULL,
                                    total_B ? total_B[b] : 0);
        if (!mixture.total) return NO_INTERVAL;
        encode_symbol(coder, sum_before(work, token), (uint64_t)work->mixed_V[token], (uint64_t)mixture.total);
        learn_token(model, memory, &mixture, token);
        *last = token;
    }
    return DONE;
}

/* The stream of a record, in slot 0, into `out`, which has room for BYTES_A_SYMBOL a token and BYTES_A_STREAM; returns its
 * length or what is wrong. */
static int64_t encode(const Model *model, Work *work, int64_t type_id, const int32_t *tokens, int64_t count, uint8_t *out) {
    start_record(model, work, 0);
    RangeCoder coder;
    start_encoder(&coder, out);
    int64_t before = type_id, last = type_id;
    for (int64_t begin = 0; begin < count; begin += work->at_once) {
        const int taken = count - begin < work->at_once ? (int)(count - begin) : work->at_once;
        const int32_t *frequency_BV = NULL;
        if (model->network) {
            for (int b = 0; b < taken; b++) {
                work->slot_B[b] = 0;
                work->token_B[b] = before;
                before = tokens[begin + b];
            }
            next_frequencies(model, work, taken);
            frequency_BV = work->frequency_BV;
        }
        const int problem = encode_tokens(model, work, &coder, frequency_BV, (size_t)work->frequency_stride, work->total_B,
                                          &last, tokens + begin, taken);
        if (problem) return problem;
    }
    return (int64_t)finish_encoder(&coder);
}

/* The same from the network's frequencies after each token. */
static int64_t encode_predicted(const Model *model, Work *work, const int32_t *frequency_TV, int64_t type_id,
                                const int32_t *tokens, int64_t count, uint8_t *out) {
    start_record(model, work, 0);
    RangeCoder coder;
    start_encoder(&coder, out);
    int64_t last = type_id;
    for (int64_t position = 0; position < count; position++) {
        const int32_t *frequency_V = frequency_TV + position * model->vocab;
        int64_t total = 0;
        for (int token = 0; token < model->vocab; token++) total += frequency_V[token];
        const int problem =
            encode_tokens(model, work, &coder, frequency_V, 0, &total, &last, tokens + position, 1);
        if (problem) return problem;
    }
    return (int64_t)finish_encoder(&coder);
}

/* Puts a record, one that is not empty, into a slot. */
static void start_decoding(const Model *model, Work *work, int slot, Slot *state, Record *record) {
    start_record(model, work, slot);
    *state = (Slot){.record = record, .last = record->type_id};
    start_decoder(&state->coder, record->stream, record->stream_bytes);
}

/* The next token of the record in a slot; the slot of a record that ends with it is free. */
static int decode_token(const Model *model, Work *work, int slot, Slot *state, const int32_t *network_V, int64_t total) {
    Memory *memory = &work->records_S[slot];
    Record *record = state->record;
    const Mixture mixture = mix(model, work, memory, state->last, network_V, total);
    if (!mixture.total) return NO_INTERVAL;
    uint64_t before;
    const int64_t token = find_symbol(work, decode_target(&state->coder, (uint64_t)mixture.total), &before);
    decode_advance(&state->coder, before, (uint64_t)work->mixed_V[token], (uint64_t)mixture.total);
    learn_token(model, memory, &mixture, token);
    state->last = token;
    const uint8_t *bytes = model->token_bytes + model->token_begin_V[token];
    const size_t length = (size_t)(model->token_begin_V[token + 1] - model->token_begin_V[token]);
    if (length > record->n_bytes - state->decoded) {
        record->failed = 1;
        state->record = NULL;
        return DONE;
    }
    memcpy(record->out + state->decoded, bytes, length);
    state->decoded += length;
    if (state->decoded == record->n_bytes) state->record = NULL;
    return DONE;
}

/* All records, none of them empty: as many side by side as there are slots, the next when one has ended. */
static int decode(const Model *model, Work *work, Slot *slots, Record *records, size_t count) {
    size_t following = 0;
    for (;;) {
        int taken = 0;
        for (int slot = 0; slot < work->slots; slot++) {
            if (!slots[slot].record && following < count)
                start_decoding(model, work, slot, &slots[slot], &records[following++]);
            if (slots[slot].record) {
                work->slot_B[taken] = slot;
                work->token_B[taken++] = slots[slot].last;
            }
        }
        if (taken == 0) return DONE;
        if (model->network) next_frequencies(model, work, taken);
        for (int b = 0; b < taken; b++) {
            const int slot = work->slot_B[b];
            const int32_t *network_V = model->network ? work->frequency_BV + b * work->frequency_stride : NULL;
            const int problem = decode_token(model, work, slot, &slots[slot], network_V, work->total_B[b]);
            if (problem) return problem;
        }
    }
}

#endif
