/* What fitting a version's numbers asks of the same functions that code with them. */
#ifndef NBMF_FITTING_H
#define NBMF_FITTING_H

#include "record_loop.h"

/* Of each token of a record the one that the copy expert expected, -1 where it had none. */
static void tokens_to_copy(const Model *model, Work *work, const int32_t *tokens, int64_t count, int64_t *out) {
    Memory *memory = &work->records_S[0];
    start_memory(memory, model->constants, model->vocab);
    for (int64_t position = 0; position < count; position++) {
        find_contexts(memory);
        out[position] = copy_token(memory);
        for (int expert = 0; expert < EXPERTS; expert++) memory->chain[expert] = memory->mixed[expert] = 1.0;
        learn(memory, model->constants, tokens[position], 0, 0);
    }
}

/* Bits of a record by the mixture, from what was predicted without it for each token, for the one to copy and for the
 * likeliest; adds to the gradients of the gates' logarithms [GATES | COPY_GATES][EXPERTS] and to the hits and trials of
 * copies [MATCH_LENGTHS][COPY_BUCKETS][2]. */
static double record_bits(const Model *model, Work *work, const int32_t *tokens, int64_t count, const double *network,
                          const double *copied, const double *confidence, double *gate_gradient, double *copy_gradient,
                          double *copy_counts) {
    Memory *memory = &work->records_S[0];
    start_memory(memory, model->constants, model->vocab);
    double bits = 0.0;
    for (int64_t position = 0; position < count; position++) {
        const int64_t token = tokens[position];
        find_contexts(memory);
        double trust = 0.0;
        const int64_t expected = copy_token(memory);
        if (expected >= 0) {
            trust = copy_trust(memory, model->constants, copied[position]);
            double *found = copy_counts + (copy_length_row(memory) * COPY_BUCKETS + copy_bucket(copied[position])) * 2;
            found[1] += 1.0;
            if (expected == token) found[0] += 1.0;
        }
        const int gate = gate_of(memory, confidence[position]), copy_gate = copy_gate_of(memory, copied[position]);
        mix_weights(memory, gate, copy_gate);
        token_probabilities(memory, model->constants, token, network[position], trust);
        double mixture = 0.0;
        for (int expert = 0; expert < EXPERTS; expert++) mixture += memory->mixed[expert] * memory->chain[expert];
        bits -= log2(mixture);
        for (int expert = 0; expert < EXPERTS; expert++) {
            const double weight = memory->mixed[expert];
            const double slope = weight * memory->chain[expert] / mixture - weight;
            gate_gradient[gate * EXPERTS + expert] += slope;
            copy_gradient[copy_gate * EXPERTS + expert] += slope;
        }
        learn(memory, model->constants, token, gate, copy_gate);
    }
    return bits;
}

/* What static counts gave each token, the expected one and the likeliest, and the length of the longest context known. */
static void counts_shares(const Model *model, Work *work, int64_t type_id, const int32_t *tokens, const int64_t *expected,
                          int64_t count, double *token, double *copied, double *sure, int64_t *order) {
    Followed known[CONTEXTS];
    for (int length = 0; length < CONTEXTS; length++) forget_context(&known[length]);
    int64_t last = type_id;
    for (int64_t position = 0; position < count; position++) {
        int32_t best;
        follow(model->counts, known, last);
        const double total = (double)fill_from_counts(model->counts, known, work->counts_V, &best);
        last = tokens[position];
        token[position] = work->counts_V[last] / total;
        copied[position] = expected[position] >= 0 ? work->counts_V[expected[position]] / total : 0.0;
        sure[position] = best / total;
        order[position] = longest_context(known);
    }
}

#endif
