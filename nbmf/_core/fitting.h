/* What fitting a version's numbers asks of the same functions that code with them. */
#ifndef NBMF_FITTING_H
#define NBMF_FITTING_H

#include "record_loop.h"

/* Of each token of a record the one that the copy expert expected, -1 where it had none. */
static void tokens_to_copy(const Model *model, Work *work, const int32_t *tokens, int64_t count, int64_t *out) {
    Memory *memory = &work->records_S[0];
    start_memory(memory, model->constants, &model->vocab);
    for (int64_t position = 0; position < count; position++) {
        find_contexts(memory);
        out[position] = copy_token(memory);
        learn(memory, tokens[position]);
    }
}

/* Where record_bits adds up what its fit asks for. */
typedef struct {
    double *gate_SGE, *copy_gate_SGE; /* gradients of the gates' logarithms */
    double *copies_SLB2;              /* hits and trials of copies */
} FitSums;

/* Of one step: the weights, given the predictions without the mixture. `hit`: whether the copy on offer is right, -1 for
 * none. */
INLINE Mixture weigh_step(const Model *model, Memory *memory, int step, double copied, double confidence, int hit,
                          const FitSums *sums) {
    Mixture mixture = {.trust = 0.0};
    if (hit >= 0) {
        mixture.trust = copy_trust(memory, model->constants, step, copied);
        const int place = (step * MATCH_LENGTHS + copy_length_row(memory)) * COPY_BUCKETS + copy_bucket(copied);
        sums->copies_SLB2[2 * place] += hit;
        sums->copies_SLB2[2 * place + 1] += 1.0;
    }
    mixture.gate = gate_of(memory, step, confidence);
    mixture.copy_gate = copy_gate_of(memory, hit, copied);
    mix_weights(memory, step, mixture.gate, mixture.copy_gate);
    return mixture;
}

/* After the outcome's probabilities are in memory->chain: its bits. */
INLINE double learn_step(const Model *model, Memory *memory, int step, const Mixture *mixture, int hit, const FitSums *sums) {
    const double *chain = memory->chain[step];
    double whole = 0.0;
    for (int expert = 0; expert < EXPERTS; expert++) whole += memory->mixed[expert] * chain[expert];
    double *gate = sums->gate_SGE + (step * GATES + mixture->gate) * EXPERTS;
    double *copy_gate = sums->copy_gate_SGE + (step * COPY_GATES + mixture->copy_gate) * EXPERTS;
    for (int expert = 0; expert < EXPERTS; expert++) {
        const double weight = memory->mixed[expert], slope = weight * chain[expert] / whole - weight;
        gate[expert] += slope;
        copy_gate[expert] += slope;
    }
    learn_weights(memory, model->constants, step, mixture, hit);
    return -log2(whole);
}

/* Bits of a record by the mixture, from what was predicted without it for each token, for the one to copy and for the
 * likeliest: [T, STEPS] of the symbol, and of the token in its cluster. Adds to `sums`. */
static double record_bits(const Model *model, Work *work, const int32_t *tokens, int64_t count, const double *network_TS,
                          const double *copied_TS, const double *confidence_TS, double *gate_gradient,
                          double *copy_gradient, double *copy_counts) {
    const FitSums sums = {gate_gradient, copy_gradient, copy_counts};
    const Vocabulary *vocab = &model->vocab;
    Memory *memory = &work->records_S[0];
    start_memory(memory, model->constants, vocab);
    double bits = 0.0;
    for (int64_t position = 0; position < count; position++) {
        const int64_t token = tokens[position], at = position * STEPS;
        const int cluster = symbol_of(vocab, (int)token) - vocab->singles;
        const int64_t begin = cluster < 0 ? token : first_of_cluster(vocab, cluster);
        const int64_t end = cluster < 0 ? token + 1 : first_of_cluster(vocab, cluster + 1);
        find_contexts(memory);
        const int64_t expected = copy_token(memory);
        int hit = expected < 0 ? -1 : expected >= begin && expected < end;
        Mixture mixture = weigh_step(model, memory, 0, copied_TS[at], confidence_TS[at], hit, &sums);
        symbol_probabilities(memory, model->constants, begin, end, network_TS[at], mixture.trust);
        bits += learn_step(model, memory, 0, &mixture, hit, &sums);
        if (cluster >= 0) {
            hit = hit == 1 ? expected == token : -1;
            mixture = weigh_step(model, memory, 1, copied_TS[at + 1], confidence_TS[at + 1], hit, &sums);
            member_probabilities(memory, model->constants, token, network_TS[at + 1], mixture.trust);
            bits += learn_step(model, memory, 1, &mixture, hit, &sums);
        }
        learn(memory, token);
    }
    return bits;
}

/* What static counts gave each token, the expected one and the likeliest, and the length of the longest context known:
 * [T, STEPS] of the symbol, and of the token in its cluster. */
static void counts_shares(const Model *model, Work *work, int64_t type_id, const int32_t *tokens, const int64_t *expected,
                          int64_t count, double *token_TS, double *copied_TS, double *sure_TS, int64_t *order_TS) {
    const Vocabulary *vocab = &model->vocab;
    Followed known[CONTEXTS];
    for (int length = 0; length < CONTEXTS; length++) forget_context(&known[length]);
    int64_t last = type_id;
    for (int64_t position = 0; position < count; position++) {
        const int64_t at = position * STEPS, copied = expected[position];
        int32_t best, *filled = work->counts_S;
        follow(model->counts, known, last);
        double total = (double)fill_from_counts(model->counts, known, filled, &best);
        last = tokens[position];
        const int symbol = symbol_of(vocab, (int)last), cluster = symbol - vocab->singles;
        const double share = filled[symbol] / total;
        token_TS[at] = share;
        copied_TS[at] = copied >= 0 ? filled[symbol_of(vocab, (int)copied)] / total : 0.0;
        sure_TS[at] = best / total;
        order_TS[at] = longest_context(known);
        token_TS[at + 1] = sure_TS[at + 1] = 1.0;
        copied_TS[at + 1] = 0.0;
        order_TS[at + 1] = 0;
        if (cluster < 0) continue;
        int longest;
        const int begin = first_of_cluster(vocab, cluster), size = 1 << vocab->shift;
        total = (double)fill_members_from_counts(model->counts, known, cluster, share, filled, &best, &longest);
        token_TS[at + 1] = filled[last - begin] / total;
        if (copied >= begin && copied < begin + size) copied_TS[at + 1] = filled[copied - begin] / total;
        sure_TS[at + 1] = best / total;
        order_TS[at + 1] = longest;
    }
}

#endif
