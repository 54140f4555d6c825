/* The integer network: tokens in, the frequencies of the next tokens out.
 *
 * The same function of the tokens as nbmf/neural/torch_engine.py, bit for bit. The tokens of one step belong to as many
 * records, or follow each other in one; the weights are read once for all of them.
 */
#ifndef NBMF_NETWORK_H
#define NBMF_NETWORK_H

#include <math.h>

#include "products.h"

#define MOST_UPDATE (4 * RESIDUAL_LIMIT) /* what is beyond it ends at the limit as well */
#define MOST_LOGIT (1 << 29)
enum { FREQUENCY_BLOCK = 16 };

INLINE int8_t round_int8(float value) {
    const float rounded = floorf(value + 0.5f);
    const float above = rounded > -(float)INT8_LIMIT ? rounded : -(float)INT8_LIMIT;
    return (int8_t)(above < (float)INT8_LIMIT ? above : (float)INT8_LIMIT);
}

/* To the nearest whole number, halves up, within -most and most. */
INLINE int32_t rounded_within(float value, int32_t most) {
    const float rounded = floorf(value + 0.5f);
    const float above = rounded > -(float)most ? rounded : -(float)most;
    return (int32_t)(above < (float)most ? above : (float)most);
}

static void scaled_to_int8(const int32_t *restrict from, float factor, int count, int8_t *restrict to) {
    for (int i = 0; i < count; i++) to[i] = round_int8((float)from[i] * factor);
}

static void to_int8(const float *restrict from, int count, int8_t *restrict to) {
    for (int i = 0; i < count; i++) to[i] = round_int8(from[i]);
}

INLINE uint64_t mix_hash(uint64_t value, int bits) {
    value &= 0xFFFFFFFFu;
    value = ((value ^ (value >> 15)) * 0x27D4EB2Fu) & 0xFFFFFFFFu;
    return value >> (32 - bits);
}

INLINE int64_t hash_id(const Network *network, int64_t id) { return network->hash_id_I ? network->hash_id_I[id] : id; }

INLINE void start_cache(const Network *network, Cache *cache) {
    cache->position = 0;
    cache->tokens[0] = cache->tokens[1] = hash_id(network, network->input_ids - 1); /* padding */
    memset(cache->shifted, 0, (size_t)network->n_layers * (size_t)network->d_shift);
}

INLINE void multiply(const Packed *matrix, Work *work, int count, const int8_t *x, int x_stride) {
    products(matrix, x, (size_t)x_stride, count, work->ready_BX, work->product_BR, (size_t)work->product_stride);
}

INLINE void multiply_sparse(const Packed *matrix, Work *work, int count, const int8_t *x, int x_stride) {
    sparse_products(matrix, x, (size_t)x_stride, count, work->nonzero_F, work->column_F, work->product_BR,
                    (size_t)work->product_stride);
}

/* The products onto the residual x. */
static void add_to_residual(const Network *network, Work *work, int count, const float *restrict scale_D) {
    const int D = network->d_model;
    for (int b = 0; b < count; b++) {
        int32_t *restrict x = work->x_BD + b * D;
        const int32_t *restrict product = work->product_BR + b * work->product_stride;
        for (int d = 0; d < D; d++) {
            const int32_t total = x[d] + rounded_within((float)product[d] * scale_D[d], MOST_UPDATE);
            const int32_t above = total > -RESIDUAL_LIMIT ? total : -RESIDUAL_LIMIT;
            x[d] = above < RESIDUAL_LIMIT ? above : RESIDUAL_LIMIT;
        }
    }
}

/* x over its root mean square, in steps of each channel. */
static void norm(const Network *network, const int32_t *restrict x, int number, int8_t *restrict y) {
    const int D = network->d_model;
    int64_t squares = 0;
    for (int d = 0; d < D; d++) squares += (int64_t)x[d] * x[d];
    const float factor = (float)(network->norm_factor_N[number] / sqrt((double)squares + 1.0));
    if (network->norm_step_ND) {
        const float *restrict step = network->norm_step_ND + number * D;
        for (int d = 0; d < D; d++) y[d] = round_int8((float)x[d] * factor * step[d]);
    } else {
        for (int d = 0; d < D; d++) y[d] = round_int8((float)x[d] * factor);
    }
}

INLINE Span seen_from(const Network *network, int64_t position) {
    const int C = network->ring;
    const int seen = position + 1 < network->window ? (int)position + 1 : network->window;
    Span span = {.position = position, .place = (int)(position % C)};
    span.begin = span.place + 1 > seen ? span.place + 1 - seen : 0;
    span.end = span.place + 1;
    span.around = seen > span.end ? seen - span.end : 0;
    if (seen == C) {
        span.begin = span.around = 0;
        span.end = C;
    }
    span.first = span.around ? 0 : span.begin / ROWS * ROWS;
    span.last = span.around ? C : padded(span.end, ROWS);
    return span;
}

/* The token's embedding into x, the table rows of its n-grams into memory, its position's turns. */
static void embed(const Network *network, Work *work, int b) {
    Cache *cache = &work->caches_S[work->slot_B[b]];
    const uint64_t input = (uint64_t)work->token_B[b], token = (uint64_t)hash_id(network, work->token_B[b]);
    const uint64_t previous = (uint64_t)cache->tokens[1], second = (uint64_t)cache->tokens[0];
    uint64_t hashed = previous * 0x9E3779B1u + token * 0x85EBCA6Bu;
    const uint64_t bigram = mix_hash(hashed, network->bigram_bits);
    hashed += second * 0xC2B2AE35u;
    const uint64_t trigram = mix_hash(hashed, network->trigram_bits);
    cache->tokens[0] = cache->tokens[1];
    cache->tokens[1] = (int64_t)token;
    const int D = network->d_model;
    const size_t half = (size_t)network->d_memory;
    int8_t *memory = work->memory_BM + b * work->memory_stride;
    memcpy(memory, network->bigram_RM + bigram * half, half);
    memcpy(memory + half, network->trigram_RM + trigram * half, half);
    int32_t *restrict x = work->x_BD + b * D;
    const int8_t *restrict embedding = network->embedding_ID + input * (uint64_t)D;
    const float scale = network->embedding_scale_I[input];
    for (int d = 0; d < D; d++) x[d] = rounded_within((float)embedding[d] * scale, MOST_UPDATE);
    const int64_t position = cache->position++, period = network->rotary_period;
    work->span_B[b] = seen_from(network, position);
    const int pairs = network->d_head / 2;
    for (int pair = 0; pair < pairs; pair++) {
        const int64_t turns = position % period * network->rotary_turns_K[pair] % period;
        work->cosine_BK[b * pairs + pair] = network->rotary_cos_P[turns];
        work->sine_BK[b * pairs + pair] = network->rotary_cos_P[(turns + period - period / 4) % period];
    }
}

/* Turns a query or key by its position. */
INLINE void turn(float *restrict front, float *restrict back, const float *restrict cosine, const float *restrict sine,
                 int pairs) {
    for (int pair = 0; pair < pairs; pair++) {
        const float turned = front[pair] * cosine[pair] - back[pair] * sine[pair];
        back[pair] = back[pair] * cosine[pair] + front[pair] * sine[pair];
        front[pair] = turned;
    }
}

/* Turns the token's queries and keys; puts key and value into the cache. */
static void keep(const Network *network, Work *work, int layer, int b) {
    const int D = network->d_model, K = network->d_head, pairs = K / 2, C = network->ring;
    const int key_columns = padded(K, COLUMNS), value_rows = padded(K, ROWS);
    Cache *cache = &work->caches_S[work->slot_B[b]];
    float *scaled = work->scaled_BE + b * 3 * D;
    for (float *head = scaled; head < scaled + 2 * D; head += K)
        turn(head, head + pairs, work->cosine_BK + b * pairs, work->sine_BK + b * pairs, pairs);
    for (int head = 0; head < network->n_heads; head++) {
        const size_t index = (size_t)(layer * network->n_heads + head);
        to_int8(scaled + D + head * K, K, work->value_K);
        put_row(cache->keys + index * (size_t)(C * key_columns), key_columns, work->span_B[b].place, work->value_K);
        to_int8(scaled + 2 * D + head * K, K, work->value_K);
        put_column(cache->values + index * (size_t)(C * value_rows), value_rows, work->span_B[b].place, work->value_K, K);
    }
}

INLINE int32_t highest(const int32_t *score, int count, int32_t best) {
    for (int c = 0; c < count; c++) best = score[c] > best ? score[c] : best;
    return best;
}

/* Scores to weights; returns their sum. */
INLINE int64_t weigh(const Network *network, int32_t *restrict score, int count, int32_t best, float scale) {
    const float last = (float)network->attention_last;
    for (int c = 0; c < count; c++) {
        const float index = (float)(best - score[c]) * scale;
        score[c] = (int32_t)(index < last ? index : last);
    }
    const int32_t *restrict table = network->attention_exp;
    int32_t total = 0; /* of at most `window` weights of ATTENTION_PEAK */
    for (int c = 0; c < count; c++) {
        score[c] = table[score[c]];
        total += score[c];
    }
    return total;
}

/* What the tokens' queries find in the cache, into y. Stage by stage, as each waits for the one before. */
static void attend(const Network *network, Work *work, int layer, int count) {
    const Layer *weights = &network->layers[layer];
    const int D = network->d_model, K = network->d_head, C = network->ring;
    const int key_columns = padded(K, COLUMNS), value_rows = padded(K, ROWS);
    for (int head = 0; head < network->n_heads; head++) {
        const size_t index = (size_t)(layer * network->n_heads + head);
        for (int b = 0; b < count; b++)
            to_int8(work->scaled_BE + b * 3 * D + head * K, K, work->query_BK + b * work->query_stride);
        for (int b = 0; b < count;) {
            int following = b + 1, first = work->span_B[b].first, last = work->span_B[b].last;
            for (; following < count && work->slot_B[following] == work->slot_B[b]; following++) {
                first = work->span_B[following].first < first ? work->span_B[following].first : first;
                last = work->span_B[following].last > last ? work->span_B[following].last : last;
            }
            scores(work->caches_S[work->slot_B[b]].keys + index * (size_t)(C * key_columns), key_columns, first, last,
                   work->query_BK + b * work->query_stride, (size_t)work->query_stride, following - b, work->ready_BX,
                   work->score_BC + b * C, (size_t)C);
            b = following;
        }
        const float scale = weights->index_scale_H[head];
        for (int b = 0; b < count; b++) {
            const Span span = work->span_B[b];
            int32_t *score = work->score_BC + b * C;
            uint8_t *digits = work->digits_BC + (size_t)b * 2 * (size_t)C;
            const int32_t best = highest(score + C - span.around, span.around,
                                         highest(score + span.begin, span.end - span.begin, INT32_MIN));
            int64_t total = weigh(network, score + span.begin, span.end - span.begin, best, scale);
            split_weights(score + span.begin, span.end - span.begin, digits, C, span.begin);
            if (span.around) {
                total += weigh(network, score + C - span.around, span.around, best, scale);
                split_weights(score + C - span.around, span.around, digits, C, C - span.around);
            }
            no_weights(digits, C, span.first, span.begin);
            no_weights(digits, C, span.end, span.last - span.around);
            work->factor_B[b] = weights->value_scale_H[head] / (float)total;
        }
        for (int b = 0; b < count; b++) {
            const Span span = work->span_B[b];
            weighted_sums(work->caches_S[work->slot_B[b]].values + index * (size_t)(C * value_rows), value_rows, C,
                          work->digits_BC + (size_t)b * 2 * (size_t)C, span.first, span.last, work->mixed_K);
            scaled_to_int8(work->mixed_K, work->factor_B[b], K, work->y_BD + b * work->y_stride + head * K);
        }
    }
}

static void attention_layer(const Network *network, Work *work, int layer, int count) {
    const Layer *weights = &network->layers[layer];
    const int D = network->d_model;
    for (int b = 0; b < count; b++) {
        int8_t *y = work->y_BD + b * work->y_stride;
        int8_t *shifted = work->caches_S[work->slot_B[b]].shifted + layer * network->d_shift;
        norm(network, work->x_BD + b * D, 2 * layer, y);
        for (int d = 0; d < network->d_shift; d++) {
            const int8_t now = y[d];
            y[d] = shifted[d];
            shifted[d] = now;
        }
    }
    multiply(&weights->in, work, count, work->y_BD, work->y_stride);
    for (int b = 0; b < count; b++) {
        float *restrict scaled = work->scaled_BE + b * 3 * D;
        const int32_t *restrict product = work->product_BR + b * work->product_stride;
        for (int row = 0; row < 3 * D; row++) scaled[row] = (float)product[row] * weights->in_scale[row];
        keep(network, work, layer, b);
    }
    attend(network, work, layer, count);
    multiply(&weights->out, work, count, work->y_BD, work->y_stride);
    add_to_residual(network, work, count, weights->out_scale);
}

/* Squared ReLU of scaled products, as int8. */
INLINE void squared_relu(const int32_t *restrict product, const float *restrict scale, int count, int8_t *restrict out) {
    for (int row = 0; row < count; row++) {
        float value = (float)product[row] * scale[row];
        value = value > 0.0f ? value : 0.0f;
        out[row] = round_int8(value * value);
    }
}

/* Causal convolution of the inputs of now and one and two dilations ago, zeros before a record's start. */
static void convolution_layer(const Network *network, Work *work, int layer, int count) {
    const Layer *weights = &network->layers[layer];
    const int D = network->d_model, d = weights->dilation, places = (TAPS - 1) * d + 1;
    for (int b = 0; b < count; b++) {
        Cache *cache = &work->caches_S[work->slot_B[b]];
        int8_t *ring = cache->taps, *taps = work->taps_BD + b * work->taps_stride;
        for (int before = 0; before < layer; before++)
            if (network->layers[before].kind == CONVOLUTION)
                ring += (size_t)((TAPS - 1) * network->layers[before].dilation + 1) * (size_t)D;
        const int64_t position = work->span_B[b].position;
        int8_t *now = ring + position % places * D;
        norm(network, work->x_BD + b * D, 2 * layer, now);
        for (int tap = 0; tap < TAPS; tap++) {
            const int64_t then = position - (int64_t)tap * d;
            if (then < 0) memset(taps + tap * D, 0, (size_t)D);
            else memcpy(taps + tap * D, ring + then % places * D, (size_t)D);
        }
    }
    multiply(&weights->in, work, count, work->taps_BD, work->taps_stride);
    for (int b = 0; b < count; b++)
        squared_relu(work->product_BR + b * work->product_stride, weights->in_scale, D, work->y_BD + b * work->y_stride);
    multiply_sparse(&weights->out, work, count, work->y_BD, work->y_stride);
    add_to_residual(network, work, count, weights->out_scale);
}

static void feed_forward(const Network *network, Work *work, int layer, int count) {
    const Layer *weights = &network->layers[layer];
    const int D = network->d_model;
    for (int b = 0; b < count; b++)
        norm(network, work->x_BD + b * D, 2 * layer + 1, work->y_BD + b * work->y_stride);
    multiply(&weights->expand, work, count, work->y_BD, work->y_stride);
    for (int b = 0; b < count; b++)
        squared_relu(work->product_BR + b * work->product_stride, weights->expand_scale, network->d_feed_forward,
                     work->hidden_BF + b * work->hidden_stride);
    multiply_sparse(&weights->contract, work, count, work->hidden_BF, work->hidden_stride);
    add_to_residual(network, work, count, weights->contract_scale);
}

/* Products to logits; returns the highest. */
INLINE int32_t to_logits(int32_t *restrict value, const float *restrict scale, int count) {
    int32_t best = INT32_MIN;
    for (int v = 0; v < count; v++) {
        value[v] = rounded_within((float)value[v] * scale[v], MOST_LOGIT);
        best = value[v] > best ? value[v] : best;
    }
    return best;
}

/* The place of a distance from the best in the table of frequencies. A flat record's distances are 0.85 of what they are: a
 * softmax of temperature 1 / 0.85. */
INLINE int32_t place_of(int32_t distance, int flat) { return flat ? distance * 17 / 20 : distance; }

/* The least distance whose place is the table's last. */
INLINE int32_t last_distance(const Network *network, int flat) {
    return flat ? (network->frequency_last * 20 + 16) / 17 : network->frequency_last;
}

/* Products to distances from the best, up to the last that matters. */
static void to_distances(const Network *network, int32_t *restrict value, const float *restrict scale, int count) {
    const int32_t best = to_logits(value, scale, count), last = last_distance(network, 1);
    for (int v = 0; v < count; v++) value[v] = best - value[v] < last ? best - value[v] : last;
}

/* Distances to frequencies; returns their sum. */
static int64_t frequencies_of(const Network *network, int flat, const int32_t *restrict distance, int count,
                              int32_t *restrict out) {
    const int32_t *restrict table = network->frequency_exp;
    const int32_t last = last_distance(network, flat);
    int64_t total = 0;
    for (int v = 0; v < count; v++) {
        int32_t within = distance[v] < last ? distance[v] : last;
        within = within > 0 ? within : 0;
        out[v] = table[place_of(within, flat)];
        total += out[v];
    }
    return total;
}

/* Products to frequencies; returns their sum. Most are of tokens so far below the best that the last of the table is theirs,
 * which is told for a block at a time. */
static int64_t to_frequencies(const Network *network, int flat, int32_t *restrict value, const float *restrict scale,
                              int count) {
    const int32_t best = to_logits(value, scale, count);
    const int32_t *restrict table = network->frequency_exp;
    const int32_t last = last_distance(network, flat), least = table[network->frequency_last], beyond = best - last;
    int64_t total = 0;
    for (int begin = 0; begin < count; begin += FREQUENCY_BLOCK) {
        const int end = begin + FREQUENCY_BLOCK < count ? begin + FREQUENCY_BLOCK : count;
        int32_t *restrict block = value + begin;
        int32_t highest_here = INT32_MIN, sum = 0;
        for (int v = 0; v < end - begin; v++) highest_here = block[v] > highest_here ? block[v] : highest_here;
        if (highest_here <= beyond) {
            for (int v = 0; v < end - begin; v++) block[v] = least;
            sum = least * (end - begin);
        } else {
            for (int v = 0; v < end - begin; v++) block[v] = block[v] > beyond ? best - block[v] : last;
            for (int v = 0; v < end - begin; v++) block[v] = table[place_of(block[v], flat)];
            for (int v = 0; v < end - begin; v++) sum += block[v];
        }
        total += sum;
    }
    return total;
}

/* Products for symbols from what the layers left in y. */
INLINE void head_products(const Network *network, Work *work, int count) {
    products(&network->head, work->y_BD, (size_t)work->y_stride, count, work->ready_BX, work->frequency_BS,
             (size_t)work->frequency_stride);
}

INLINE int is_flat(const Work *work, int b) { return work->records_S[work->slot_B[b]].flat; }

/* Frequencies of symbols from what the layers left in y. */
static void head(const Network *network, Work *work, int count) {
    head_products(network, work, count);
    for (int b = 0; b < count; b++)
        work->total_B[b] = to_frequencies(network, is_flat(work, b), work->frequency_BS + b * work->frequency_stride,
                                          network->head_scale_V, network->vocab.symbols);
}

/* Products for the tokens of a cluster into work->member_Z, from what the step before left of its b-th token; returns their
 * scales. */
INLINE const float *member_products(const Network *network, Work *work, int b, int cluster) {
    Packed members = network->members;
    members.bytes += (size_t)cluster * packed_bytes(members.rows, members.columns);
    products(&members, work->y_BD + b * work->y_stride, (size_t)work->y_stride, 1, work->ready_BX, work->member_Z,
             (size_t)members.rows);
    return network->member_scale_V + (cluster << network->vocab.shift);
}

/* Their frequencies; returns the sum. */
static int64_t member_frequencies(const Model *model, Work *work, int b, int cluster) {
    const float *scale = member_products(model->network, work, b, cluster);
    return to_frequencies(model->network, is_flat(work, b), work->member_Z, scale, 1 << model->vocab.shift);
}

static void member_distances(const Model *model, Work *work, int b, int cluster) {
    const float *scale = member_products(model->network, work, b, cluster);
    to_distances(model->network, work->member_Z, scale, 1 << model->vocab.shift);
}

/* Takes in the first `count` of work->token_B, each in its slot, in order. All of different slots, or up to work->at_once of
 * one. */
static void take_in(const Network *network, Work *work, int count) {
    const int D = network->d_model;
    for (int b = 0; b < count; b++) embed(network, work, b);
    multiply(&network->memory_in, work, count, work->memory_BM, work->memory_stride);
    add_to_residual(network, work, count, network->memory_in_scale_D);
    for (int layer = 0; layer < network->n_layers; layer++) {
        if (network->layers[layer].kind == ATTENTION) attention_layer(network, work, layer, count);
        else convolution_layer(network, work, layer, count);
        feed_forward(network, work, layer, count);
    }
    for (int b = 0; b < count; b++)
        norm(network, work->x_BD + b * D, 2 * network->n_layers, work->y_BD + b * work->y_stride);
}

/* Frequencies of the symbols after them into frequency_BS and total_B. */
static void next_frequencies(const Model *model, Work *work, int count) {
    take_in(model->network, work, count);
    head(model->network, work, count);
}

/* Their distances into frequency_BS. */
static void next_distances(const Model *model, Work *work, int count) {
    const Network *network = model->network;
    take_in(network, work, count);
    head_products(network, work, count);
    for (int b = 0; b < count; b++)
        to_distances(network, work->frequency_BS + b * work->frequency_stride, network->head_scale_V, network->vocab.symbols);
}

#endif
