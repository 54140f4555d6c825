/* Whole records: tokens to a stream and back; prediction, adaptation and range coder joined.
 *
 * Both directions run the same functions in the same order on the same integers; the decoder has nothing but the stream, the
 * type of the record and, where neither the stream nor its end tells, its length in bytes. Encoding takes the network through
 * many tokens of one record at once; decoding through the next of many records.
 */
#ifndef NBMF_RECORD_LOOP_H
#define NBMF_RECORD_LOOP_H

#include "adaptation.h"
#include "network.h"
#include "stream_head.h"
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

/* Takes in records, one behind the other, as every record of the model then begins. */
static void prime(const Model *model, Work *work, const Spelt *records, size_t count) {
    Memory *memory = &work->records_S[0];
    start_memory(memory, model->constants, &model->vocab);
    for (size_t index = 0; index < count; index++) {
        begin_behind(memory, records[index].type_id);
        for (int64_t at = 0; at < records[index].count; at++) {
            find_contexts(memory);
            learn(memory, records[index].tokens[at]);
        }
    }
}

/* A record of a type comes into a slot; the network begins anew with each. */
static void begin_record(const Model *model, Work *work, int slot, int64_t type_id) {
    start_record(model, work, slot);
    if (!model->primer) return;
    copy_counts(&work->records_S[slot], &model->primer->records_S[0], &model->vocab);
    begin_behind(&work->records_S[slot], type_id);
}

INLINE void encode_outcome(const Work *work, RangeCoder *coder, const Mixture *mixture, int64_t outcome) {
    encode_symbol(coder, sum_before(work, outcome), (uint64_t)work->mixed_S[outcome], (uint64_t)mixture->total);
}

/* The next token of the record in a slot; of what the network expects distances of symbols and, if it is of a cluster, of the
 * cluster's tokens. Without a coder it is learnt from alone. */
static int encode_token(const Model *model, Work *work, int slot, RangeCoder *coder, const int32_t *distance_S,
                        const int32_t *distance_Z, int64_t last, int64_t token) {
    Memory *memory = &work->records_S[slot];
    const Vocabulary *vocab = &model->vocab;
    const int symbol = symbol_of(vocab, (int)token), cluster = symbol - vocab->singles;
    int32_t *network_S = NULL, *network_Z = NULL;
    int64_t total = 0;
    if (distance_S) {
        network_S = work->frequency_BS;
        total = frequencies_of(model->network, memory->flat, distance_S, vocab->symbols, network_S);
    }
    Mixture mixture = mix_symbols(model, work, memory, last, network_S, total);
    if (!mixture.total) return NO_INTERVAL;
    if (coder) encode_outcome(work, coder, &mixture, symbol);
    learn_symbol(model, memory, &mixture, symbol);
    if (cluster >= 0) {
        if (distance_S) {
            network_Z = work->member_Z;
            total = frequencies_of(model->network, memory->flat, distance_Z, 1 << vocab->shift, network_Z);
        }
        mix_members(model, work, memory, cluster, network_Z, total, &mixture);
        if (!mixture.total) return NO_INTERVAL;
        if (coder) encode_outcome(work, coder, &mixture, token - first_of_cluster(vocab, cluster));
        learn_member(model, memory, &mixture, cluster, token);
    }
    learn(memory, token);
    return DONE;
}

/* Of what the record in a slot begins behind, some tokens: they are learnt from as if they were its own. `last`: the one before,
 * and then the last of them. For models without a network. */
static int learn_before(const Model *model, Work *work, int slot, const int32_t *tokens, int64_t count, int64_t *last) {
    for (int64_t at = 0; at < count; at++) {
        const int problem = encode_token(model, work, slot, NULL, NULL, NULL, *last, tokens[at]);
        if (problem) return problem;
        *last = tokens[at];
    }
    return DONE;
}

/* What the network expects before each of the next tokens of the record in slot 0, into work->kept_TS and kept_TZ; `before`
 * is the input before the first. */
static void keep_distances(const Model *model, Work *work, int64_t before, const int32_t *tokens, int64_t count) {
    const Vocabulary *vocab = &model->vocab;
    const size_t S = (size_t)vocab->symbols, Z = (size_t)1 << vocab->shift;
    for (int64_t begin = 0; begin < count; begin += work->at_once) {
        const int taken = count - begin < work->at_once ? (int)(count - begin) : work->at_once;
        for (int b = 0; b < taken; b++) {
            work->slot_B[b] = 0;
            work->token_B[b] = before;
            before = tokens[begin + b];
        }
        next_distances(model, work, taken);
        for (int b = 0; b < taken; b++) {
            const size_t at = (size_t)(begin + b);
            memcpy(work->kept_TS + at * S, work->frequency_BS + b * work->frequency_stride, S * sizeof *work->kept_TS);
            const int cluster = symbol_of(vocab, tokens[at]) - vocab->singles;
            if (cluster < 0) continue;
            member_distances(model, work, b, cluster);
            memcpy(work->kept_TZ + at * Z, work->member_Z, Z * sizeof *work->kept_TZ);
        }
    }
}

/* By how much an outcome is likelier where the record is flat. */
INLINE double flat_gain(const Network *network, const int32_t *distance, int count, int outcome, int32_t *scratch) {
    const int64_t sharp_total = frequencies_of(network, 0, distance, count, scratch), sharp = scratch[outcome];
    const int64_t flat_total = frequencies_of(network, 1, distance, count, scratch), flat = scratch[outcome];
    return (double)flat / (double)flat_total * ((double)sharp_total / (double)sharp);
}

/* Whether some tokens are likelier flat, by what the network alone expects. */
static int flat_is_shorter(const Model *model, Work *work, const int32_t *symbols_TS, const int32_t *members_TZ,
                           const int32_t *tokens, int64_t count) {
    const Vocabulary *vocab = &model->vocab;
    const double share = model->constants->flat_share, large = 1e100;
    double odds = share / (1.0 - share);
    int64_t scale = 0;
    for (int64_t at = 0; at < count; at++) {
        const int symbol = symbol_of(vocab, tokens[at]), cluster = symbol - vocab->singles;
        odds *= flat_gain(model->network, symbols_TS + at * vocab->symbols, vocab->symbols, symbol, work->frequency_BS);
        if (cluster >= 0)
            odds *= flat_gain(model->network, members_TZ + (at << vocab->shift), 1 << vocab->shift,
                              tokens[at] - first_of_cluster(vocab, cluster), work->member_Z);
        if (odds > large) odds /= large, scale++;
        else if (odds < 1.0 / large) odds *= large, scale--;
    }
    return scale > 0 || (scale == 0 && odds > 1.0);
}

#define FLAT_SHARES 256

/* Of FLAT_SHARES, what flat records have. */
INLINE uint64_t flat_shares(const Model *model) {
    return 1 + (uint64_t)(model->constants->flat_share * (FLAT_SHARES - 2));
}

INLINE void encode_flat(const Model *model, RangeCoder *coder, int flat) {
    const uint64_t shares = flat_shares(model), others = FLAT_SHARES - shares;
    encode_symbol(coder, flat ? others : 0, flat ? shares : others, FLAT_SHARES);
}

INLINE int decode_flat(const Model *model, RangeCoder *coder) {
    const uint64_t shares = flat_shares(model), others = FLAT_SHARES - shares;
    const int flat = decode_target(coder, FLAT_SHARES) >= others;
    decode_advance(coder, flat ? others : 0, flat ? shares : others, FLAT_SHARES);
    return flat;
}

/* The record's size, where the stream is to tell it. */
static int encode_size_of(const Model *model, RangeCoder *coder, const int32_t *tokens, int64_t count, int sizing) {
    if (sizing == SIZE_TOLD) return DONE;
    size_t n_bytes = 0;
    JsonEnd json = {0};
    int ends = 0;
    for (int64_t at = 0; at < count; at++) {
        const uint8_t *bytes = model->token_bytes + model->token_begin_V[tokens[at]];
        const size_t length = (size_t)(model->token_begin_V[tokens[at] + 1] - model->token_begin_V[tokens[at]]);
        n_bytes += length;
        if (sizing != SIZE_AT_END) continue;
        if (ends) return NO_SIZE;
        ends = json_ends(&json, bytes, length);
    }
    if (n_bytes == 0 || n_bytes >> SIZE_CLASSES || (sizing == SIZE_AT_END && ends != 1)) return NO_SIZE;
    encode_size(coder, n_bytes, sizing);
    return DONE;
}

/* The stream of a record, in slot 0, into `out`, which has room for BYTES_A_TOKEN and BYTES_A_STREAM; returns its
 * length or what is wrong. `symbols_TS` and `members_TZ`: distances, or NULL: they are worked out. */
static int64_t encode_predicted(const Model *model, Work *work, const int32_t *symbols_TS, const int32_t *members_TZ,
                                const Spelt *record, uint8_t *out) {
    const int32_t *tokens = record->tokens;
    const int64_t count = record->count;
    const int sizing = record->sizing;
    const int known = symbols_TS != NULL;
    const int64_t at_a_time = model->network ? work->kept : count;
    begin_record(model, work, 0, record->type_id);
    RangeCoder coder;
    start_encoder(&coder, out);
    int problem = encode_size_of(model, &coder, tokens, count, sizing);
    int64_t last = record->type_id;
    if (!problem) problem = learn_before(model, work, 0, record->before, record->n_before, &last);
    for (int64_t begin = 0; begin < count && !problem; begin += at_a_time) {
        const int64_t taken = count - begin < at_a_time ? count - begin : at_a_time;
        if (model->network && !known) {
            keep_distances(model, work, last, tokens + begin, taken);
            symbols_TS = work->kept_TS;
            members_TZ = work->kept_TZ;
        }
        if (begin == 0 && model->network && sizing != SIZE_TOLD) {
            work->records_S[0].flat = flat_is_shorter(model, work, symbols_TS, members_TZ, tokens, taken);
            encode_flat(model, &coder, work->records_S[0].flat);
        }
        for (int64_t at = 0; at < taken && !problem; at++) {
            const int32_t *distance_S = model->network ? symbols_TS + at * model->vocab.symbols : NULL;
            const int32_t *distance_Z = members_TZ ? members_TZ + (at << model->vocab.shift) : NULL;
            problem = encode_token(model, work, 0, &coder, distance_S, distance_Z, last, tokens[begin + at]);
            last = tokens[begin + at];
        }
        if (known) {
            symbols_TS += taken * model->vocab.symbols;
            if (members_TZ) members_TZ += taken << model->vocab.shift;
        }
    }
    return problem ? problem : (int64_t)finish_encoder(&coder);
}

/* Puts a record, one that is not empty, into a slot. */
static void start_decoding(const Model *model, Work *work, int slot, Slot *state, Record *record) {
    begin_record(model, work, slot, record->type_id);
    *state = (Slot){.record = record, .last = record->type_id, .cluster = -1};
    start_decoder(&state->coder, record->stream, record->stream_bytes);
    if (record->sizing != SIZE_TOLD) {
        uint64_t least, most;
        decode_size(&state->coder, record->sizing, &least, &most);
    }
    if (model->network && record->sizing != SIZE_TOLD) work->records_S[slot].flat = decode_flat(model, &state->coder);
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
    if (record->tokens) record->tokens[record->n_tokens++] = (int32_t)token;
    state->decoded += length;
    const int whole = state->decoded == record->n_bytes;
    if (record->sizing == SIZE_AT_END) {
        const int ends = json_ends(&state->json, bytes, length);
        record->failed = ends < 0 || (whole && !ends);
        if (ends > 0) record->n_bytes = state->decoded;
        if (ends || whole) state->record = NULL;
    } else if (whole) state->record = NULL;
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

/* The next of the tokens that the record in a slot begins behind, if any are left. */
INLINE int64_t learn_some_before(const Model *model, Work *work, int slot, Slot *state) {
    const Record *record = state->record;
    const int64_t left = record->n_before - state->learnt, taken = left < AT_ONCE ? left : AT_ONCE;
    if (!taken) return 0;
    state->problem = learn_before(model, work, slot, record->before + state->learnt, taken, &state->last);
    state->learnt += taken;
    return taken;
}

/* A step of the records in some slots, work->slot_B: their next token, or some that they begin behind, so that no record waits
 * for all of those. What is wrong with the version ends a record, as its end does. Returns it. */
static int decode_tokens(const Model *model, Work *work, Slot *slots, int taken) {
    int problem = DONE;
    for (int b = 0; b < taken; b++) work->token_B[b] = slots[work->slot_B[b]].last;
    if (model->network) next_frequencies(model, work, taken);
    for (int b = 0; b < taken; b++) {
        const int slot = work->slot_B[b];
        Slot *state = &slots[slot];
        const int32_t *network_S = model->network ? work->frequency_BS + b * work->frequency_stride : NULL;
        if (!learn_some_before(model, work, slot, state))
            state->problem = decode_symbol(model, work, slot, state, network_S, work->total_B[b]);
        if (!state->problem && state->cluster >= 0) {
            const int64_t total = model->network ? member_frequencies(model, work, b, state->cluster) : 0;
            state->problem = decode_member(model, work, slot, state, model->network ? work->member_Z : NULL, total);
        }
        if (!state->problem) continue;
        problem = state->problem;
        state->record = NULL;
    }
    return problem;
}

/* All records, none of them empty: as many side by side as there are slots, the next when one has ended. */
static int decode(const Model *model, Work *work, Slot *slots, Record *records, size_t count) {
    size_t following = 0;
    for (;;) {
        int taken = 0;
        for (int slot = 0; slot < work->slots; slot++) {
            if (!slots[slot].record && following < count)
                start_decoding(model, work, slot, &slots[slot], &records[following++]);
            if (slots[slot].record) work->slot_B[taken++] = slot;
        }
        if (taken == 0) return DONE;
        const int problem = decode_tokens(model, work, slots, taken);
        if (problem) return problem;
    }
}

#endif
