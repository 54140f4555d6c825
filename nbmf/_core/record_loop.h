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
static int64_t add_scaled(const int32_t *restrict first_S, float first, const int32_t *restrict second_S, float second,
                          int count, int32_t *restrict out_S) {
    int32_t total = 0;
    for (int symbol = 0; symbol < count; symbol++) {
        const int32_t frequency = (int32_t)((float)first_S[symbol] * first + (float)second_S[symbol] * second) + 1;
        out_S[symbol] = frequency;
        total += frequency;
    }
    return total;
}

/* What is expected next before the record's own counts are asked, into `mixture`: network, static counts, or both, whose
 * share was fitted for each situation. Returns the highest probability.
 *
 * Counts were filled into work->counts_S beside a network, else into work->base_S. */
INLINE double join(const Model *model, Work *work, int step, int count, const int32_t *network_S, int64_t network_total,
                   int64_t counts_total, int32_t counts_best, int longest, Mixture *mixture) {
    const double sure = (double)FREQUENCY_PEAK / (double)network_total;
    const double counts_sure = (double)counts_best / (double)counts_total;
    mixture->base_S = network_S ? network_S : work->base_S;
    mixture->base_total = network_S ? network_total : counts_total;
    if (!network_S) return counts_sure;
    if (!model->counts) return sure;
    const double share =
        model->constants->network_share[step][longest][confidence_bucket(counts_sure)][confidence_bucket(sure)];
    const float network_factor = (float)(share * SCALE / (double)network_total);
    const float counts_factor = (float)((1.0 - share) * SCALE / (double)counts_total);
    mixture->base_S = work->base_S;
    mixture->base_total = add_scaled(network_S, network_factor, work->counts_S, counts_factor, count, work->base_S);
    return share * sure + (1.0 - share) * counts_sure;
}

/* Of the next symbol, after the token `last`. */
static double predict_symbol(const Model *model, Work *work, Followed *known, int64_t last, const int32_t *network_S,
                             int64_t network_total, Mixture *mixture) {
    const Counts *counts = model->counts;
    int32_t best = 0;
    mixture->counts_total = 1;
    mixture->counts_S = NULL;
    if (counts) {
        int32_t *filled_S = network_S ? work->counts_S : work->base_S;
        follow(counts, known, last);
        mixture->counts_total = fill_from_counts(counts, known, filled_S, &best);
        mixture->counts_S = filled_S;
    }
    return join(model, work, 0, model->vocab.symbols, network_S, network_total, mixture->counts_total, best,
                counts ? longest_context(known) : 0, mixture);
}

/* Of the token of a cluster, which was predicted by `mixture`. */
static double predict_member(const Model *model, Work *work, const Followed *known, int cluster, const int32_t *network_Z,
                             int64_t network_total, Mixture *mixture) {
    const Counts *counts = model->counts;
    int64_t total = 1;
    int32_t best = 0;
    int longest = 0;
    if (counts) {
        int32_t *filled_Z = network_Z ? work->counts_S : work->base_S;
        total = fill_members_from_counts(counts, known, cluster, mixture->counts_share, filled_Z, &best, &longest);
    }
    return join(model, work, 1, 1 << model->vocab.shift, network_Z, network_total, total, best, longest, mixture);
}

INLINE int64_t sum_of(const int32_t *frequency, int count) {
    int64_t total = 0;
    for (int i = 0; i < count; i++) total += frequency[i];
    return total;
}

/* What is expected after each of some inputs, a type id first: frequencies of symbols [T, symbols], the highest probability,
 * and the contexts of the static counts [T, CONTEXTS]. */
static void predictions(const Model *model, Work *work, const int32_t *inputs, int64_t count, const int32_t *frequency_TS,
                        int32_t *base_TS, double *confidence_T, int64_t *contexts_TO) {
    const size_t S = (size_t)model->vocab.symbols;
    Followed known[CONTEXTS];
    for (int length = 0; length < CONTEXTS; length++) forget_context(&known[length]);
    for (int64_t position = 0; position < count; position++) {
        const int32_t *network_S = frequency_TS ? frequency_TS + (size_t)position * S : NULL;
        const int64_t total = network_S ? sum_of(network_S, model->vocab.symbols) : 0;
        Mixture mixture;
        confidence_T[position] = predict_symbol(model, work, known, inputs[position], network_S, total, &mixture);
        memcpy(base_TS + (size_t)position * S, mixture.base_S, S * sizeof *mixture.base_S);
        for (int length = 0; length < CONTEXTS; length++) contexts_TO[position * CONTEXTS + length] = known[length].context;
    }
}

/* Weighs the experts and fills in work->mixed_S, given the base and its highest probability. */
INLINE void mix(const Model *model, Work *work, Memory *memory, int step, int begin, int64_t copied, double confidence,
                Mixture *mixture) {
    double likely = 0.0;
    mixture->trust = 0.0;
    if (copied >= 0) {
        const int64_t place = begin < 0 ? symbol_of(&model->vocab, (int)copied) : copied - begin;
        likely = (double)mixture->base_S[place] / (double)mixture->base_total;
        mixture->trust = copy_trust(memory, model->constants, step, likely);
    }
    mixture->gate = gate_of(memory, step, confidence);
    mixture->copy_gate = copy_gate_of(memory, copied, likely);
    mix_weights(memory, step, mixture->gate, mixture->copy_gate);
    mixture->total = fill_frequencies(memory, model->constants, &model->vocab, begin, copied, mixture->trust, mixture->base_S,
                                      mixture->base_total, work->mixed_S, work->blocks);
}

/* Frequencies for the next symbol into work->mixed_S. */
INLINE Mixture mix_symbols(const Model *model, Work *work, Memory *memory, int64_t last, const int32_t *network_S,
                           int64_t network_total) {
    Mixture mixture;
    const double confidence =
        predict_symbol(model, work, memory->followed, last, network_S, network_total, &mixture);
    find_contexts(memory);
    mix(model, work, memory, 0, -1, copy_token(memory), confidence, &mixture);
    return mixture;
}

INLINE void learn_symbol(const Model *model, Memory *memory, Mixture *mixture, int symbol) {
    const Vocabulary *vocab = &model->vocab;
    const int cluster = symbol - vocab->singles;
    const int64_t begin = cluster < 0 ? symbol : first_of_cluster(vocab, cluster);
    const int64_t end = cluster < 0 ? begin + 1 : first_of_cluster(vocab, cluster + 1);
    const double share = (double)mixture->base_S[symbol] / (double)mixture->base_total;
    if (mixture->counts_S) mixture->counts_share = (double)mixture->counts_S[symbol] / (double)mixture->counts_total;
    symbol_probabilities(memory, model->constants, begin, end, share, mixture->trust);
    const int64_t copied = copy_token(memory);
    learn_weights(memory, model->constants, 0, mixture, copied < 0 ? -1 : copied >= begin && copied < end);
}

/* The token to copy if it is one of a cluster's, which `begin` is the first of, or -1. */
INLINE int64_t copy_in(const Model *model, const Memory *memory, int begin) {
    const int64_t copied = copy_token(memory);
    return copied >= begin && copied < begin + ((int64_t)1 << model->vocab.shift) ? copied : -1;
}

/* Frequencies for the token of a cluster, which was learnt as the symbol that `mixture` predicted. */
INLINE void mix_members(const Model *model, Work *work, Memory *memory, int cluster, const int32_t *network_Z,
                        int64_t network_total, Mixture *mixture) {
    const double confidence = predict_member(model, work, memory->followed, cluster, network_Z, network_total, mixture);
    const int begin = first_of_cluster(&model->vocab, cluster);
    mix(model, work, memory, 1, begin, copy_in(model, memory, begin), confidence, mixture);
}

INLINE void learn_member(const Model *model, Memory *memory, const Mixture *mixture, int cluster, int64_t token) {
    const int begin = first_of_cluster(&model->vocab, cluster);
    const double share = (double)mixture->base_S[token - begin] / (double)mixture->base_total;
    const int64_t copied = copy_in(model, memory, begin);
    member_probabilities(memory, model->constants, token, share, mixture->trust);
    learn_weights(memory, model->constants, 1, mixture, copied < 0 ? -1 : copied == token);
}

INLINE uint64_t sum_before(const Work *work, int64_t outcome) {
    int64_t before = 0, symbol = 0;
    for (; symbol + BLOCK <= outcome; symbol += BLOCK) before += work->blocks[symbol / BLOCK];
    for (; symbol < outcome; symbol++) before += work->mixed_S[symbol];
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
    while (sum + (uint64_t)work->mixed_S[symbol] <= target) sum += (uint64_t)work->mixed_S[symbol++];
    *before = sum;
    return symbol;
}

static void start_record(const Model *model, Work *work, int slot) {
    start_memory(&work->records_S[slot], model->constants, &model->vocab);
    if (model->network && work->x_BD) start_cache(model->network, &work->caches_S[slot]);
}

INLINE void encode_outcome(const Work *work, RangeCoder *coder, const Mixture *mixture, int64_t outcome) {
    encode_symbol(coder, sum_before(work, outcome), (uint64_t)work->mixed_S[outcome], (uint64_t)mixture->total);
}

/* The next token of the record in slot 0, whose network's frequencies of symbols are worked out; those of a cluster's tokens
 * are `network_Z`, or else worked out from what is left of the b-th token of the step. */
static int encode_token(const Model *model, Work *work, RangeCoder *coder, const int32_t *network_S, int64_t total,
                        const int32_t *network_Z, int b, int64_t last, int64_t token) {
    Memory *memory = &work->records_S[0];
    const int symbol = symbol_of(&model->vocab, (int)token), cluster = symbol - model->vocab.singles;
    Mixture mixture = mix_symbols(model, work, memory, last, network_S, total);
    if (!mixture.total) return NO_INTERVAL;
    encode_outcome(work, coder, &mixture, symbol);
    learn_symbol(model, memory, &mixture, symbol);
    if (cluster >= 0) {
        if (network_Z) total = sum_of(network_Z, 1 << model->vocab.shift);
        else if (network_S) {
            total = member_frequencies(model, work, b, cluster);
            network_Z = work->member_Z;
        }
        mix_members(model, work, memory, cluster, network_Z, total, &mixture);
        if (!mixture.total) return NO_INTERVAL;
        encode_outcome(work, coder, &mixture, token - first_of_cluster(&model->vocab, cluster));
        learn_member(model, memory, &mixture, cluster, token);
    }
    learn(memory, token);
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
        if (model->network) {
            for (int b = 0; b < taken; b++) {
                work->slot_B[b] = 0;
                work->token_B[b] = before;
                before = tokens[begin + b];
            }
            next_frequencies(model, work, taken);
        }
        for (int b = 0; b < taken; b++) {
            const int32_t *network_S = model->network ? work->frequency_BS + b * work->frequency_stride : NULL;
            const int problem =
                encode_token(model, work, &coder, network_S, work->total_B[b], NULL, b, last, tokens[begin + b]);
            if (problem) return problem;
            last = tokens[begin + b];
        }
    }
    return (int64_t)finish_encoder(&coder);
}

/* The same from the network's frequencies of symbols and, where there are clusters, of the tokens of each one's. */
static int64_t encode_predicted(const Model *model, Work *work, const int32_t *symbols_TS, const int32_t *members_TZ,
                                int64_t type_id, const int32_t *tokens, int64_t count, uint8_t *out) {
    start_record(model, work, 0);
    RangeCoder coder;
    start_encoder(&coder, out);
    int64_t last = type_id;
    for (int64_t position = 0; position < count; position++) {
        const int32_t *network_S = symbols_TS + position * model->vocab.symbols;
        const int32_t *network_Z = members_TZ ? members_TZ + (position << model->vocab.shift) : NULL;
        const int problem = encode_token(model, work, &coder, network_S, sum_of(network_S, model->vocab.symbols), network_Z,
                                         0, last, tokens[position]);
        if (problem) return problem;
        last = tokens[position];
    }
    return (int64_t)finish_encoder(&coder);
}

/* Puts a record, one that is not empty, into a slot. */
static void start_decoding(const Model *model, Work *work, int slot, Slot *state, Record *record) {
    start_record(model, work, slot);
    *state = (Slot){.record = record, .last = record->type_id, .cluster = -1};
    start_decoder(&state->coder, record->stream, record->stream_bytes);
}

INLINE int64_t decode_outcome(const Work *work, RangeCoder *coder, const Mixture *mixture) {
    uint64_t before;
    const int64_t outcome = find_symbol(work, decode_target(coder, (uint64_t)mixture->total), &before);
    decode_advance(coder, before, (uint64_t)work->mixed_S[outcome], (uint64_t)mixture->total);
    return outcome;
}

/* Puts a token behind those before; the slot of a record that ends with it is free. */
static void take_token(const Model *model, Memory *memory, Slot *state, int64_t token) {
    Record *record = state->record;
    learn(memory, token);
    state->last = token;
    const uint8_t *bytes = model->token_bytes + model->token_begin_V[token];
    const size_t length = (size_t)(model->token_begin_V[token + 1] - model->token_begin_V[token]);
    if (length > record->n_bytes - state->decoded) {
        record->failed = 1;
        state->record = NULL;
        return;
    }
    memcpy(record->out + state->decoded, bytes, length);
    state->decoded += length;
    if (state->decoded == record->n_bytes) state->record = NULL;
}

/* The next symbol of the record in a slot: its token, or the cluster whose token is next. */
static int decode_symbol(const Model *model, Work *work, int slot, Slot *state, const int32_t *network_S, int64_t total) {
    Memory *memory = &work->records_S[slot];
    state->mixture = mix_symbols(model, work, memory, state->last, network_S, total);
    if (!state->mixture.total) return NO_INTERVAL;
    const int symbol = (int)decode_outcome(work, &state->coder, &state->mixture);
    learn_symbol(model, memory, &state->mixture, symbol);
    if (symbol < model->vocab.singles) take_token(model, memory, state, symbol);
    else state->cluster = symbol - model->vocab.singles;
    return DONE;
}

static int decode_member(const Model *model, Work *work, int slot, Slot *state, const int32_t *network_Z, int64_t total) {
    Memory *memory = &work->records_S[slot];
    const int cluster = state->cluster;
    mix_members(model, work, memory, cluster, network_Z, total, &state->mixture);
    if (!state->mixture.total) return NO_INTERVAL;
    const int64_t token =
        first_of_cluster(&model->vocab, cluster) + decode_outcome(work, &state->coder, &state->mixture);
    learn_member(model, memory, &state->mixture, cluster, token);
    state->cluster = -1;
    take_token(model, memory, state, token);
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
            Slot *state = &slots[slot];
            const int32_t *network_S = model->network ? work->frequency_BS + b * work->frequency_stride : NULL;
            int problem = decode_symbol(model, work, slot, state, network_S, work->total_B[b]);
            if (!problem && state->cluster >= 0) {
                const int64_t total = model->network ? member_frequencies(model, work, b, state->cluster) : 0;
                problem = decode_member(model, work, slot, state, model->network ? work->member_Z : NULL, total);
            }
            if (problem) return problem;
        }
    }
}

#endif
