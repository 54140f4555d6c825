/* Work space: one piece of memory, cut into arrays at addresses that whole cache lines start at. */
#ifndef NBMF_WORK_H
#define NBMF_WORK_H

#include <stdlib.h>

#include "products.h"

enum { CACHE_LINE = 64, MOST_KEPT = 1024 };

/* Without `memory` it only counts. */
typedef struct {
    uint8_t *memory;
    size_t used;
} Arena;

static void *take(Arena *arena, size_t count, size_t size) {
    const size_t at = arena->used;
    arena->used += (count * size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    return arena->memory ? arena->memory + at : NULL;
}

#define TAKE(to, count) (to) = take(arena, (size_t)(count), sizeof *(to))

static void cut_memory(Arena *arena, Memory *memory, int64_t n, int vocab) {
    uint64_t slots = 16;
    while (slots < 2 * ((uint64_t)n + 1)) slots *= 2;
    Memory cut = {.slot_mask = slots - 1};
    TAKE(cut.history, n + 1);
    for (int order = 0; order < ORDERS; order++) {
        TAKE(cut.slots[order], slots);
        TAKE(cut.slot_keys[order], slots);
        TAKE(cut.contexts[order], n + 1);
        TAKE(cut.nodes[order], n + 1);
    }
    TAKE(cut.node_of_token, vocab);
    if (memory) *memory = cut;
}

static void cut_cache(Arena *arena, const Network *network, Cache *cache) {
    const size_t heads = (size_t)network->n_layers * (size_t)network->n_heads, C = (size_t)network->ring;
    size_t taps = 0;
    for (int layer = 0; layer < network->n_layers; layer++)
        if (network->layers[layer].kind == CONVOLUTION)
            taps += (size_t)((TAPS - 1) * network->layers[layer].dilation + 1) * (size_t)network->d_model;
    Cache cut = {0};
    TAKE(cut.keys, heads * C * (size_t)padded(network->d_head, COLUMNS));
    TAKE(cut.values, heads * C * (size_t)padded(network->d_head, ROWS));
    TAKE(cut.shifted, network->n_layers * network->d_shift);
    TAKE(cut.taps, taps);
    if (cache) *cache = cut;
}

static void cut_scratch(Arena *arena, const Network *network, Work *work) {
    const int D = network->d_model, K = network->d_head, C = network->ring, F = network->d_feed_forward;
    const int B = work->slots > work->at_once ? work->slots : work->at_once;
    const int widest = 3 * D > F ? 3 * D : F;
    work->product_stride = padded(widest, MATRIX_ROWS);
    work->frequency_stride = network->head.rows;
    work->hidden_stride = padded(F, MATRIX_ROWS);
    work->y_stride = padded(D, MATRIX_ROWS);
    work->memory_stride = padded(2 * network->d_memory, COLUMNS);
    work->query_stride = padded(K, COLUMNS);
    work->taps_stride = padded(TAPS * D, COLUMNS);
    TAKE(work->cosine_BK, B * (K / 2));
    TAKE(work->sine_BK, B * (K / 2));
    TAKE(work->scaled_BE, B * 3 * D);
    TAKE(work->x_BD, B * D);
    TAKE(work->product_BR, B * work->product_stride);
    TAKE(work->score_BC, B * C);
    TAKE(work->mixed_K, padded(K, ROWS));
    TAKE(work->frequency_BS, (size_t)B * (size_t)work->frequency_stride);
    TAKE(work->member_Z, padded(1 << network->vocab.shift, MATRIX_ROWS));
    TAKE(work->y_BD, B * work->y_stride);
    TAKE(work->memory_BM, B * work->memory_stride);
    TAKE(work->hidden_BF, B * work->hidden_stride);
    TAKE(work->nonzero_F, padded(widest, MATRIX_ROWS) + MARGIN);
    TAKE(work->column_F, padded(widest, MATRIX_ROWS) + MARGIN);
    TAKE(work->query_BK, B * work->query_stride);
    TAKE(work->value_K, padded(K, ROWS));
    TAKE(work->taps_BD, B * work->taps_stride);
    const int longest = work->taps_stride > work->memory_stride ? work->taps_stride : work->memory_stride;
    TAKE(work->ready_BX, B * READY * (longest > work->query_stride ? longest : work->query_stride));
    TAKE(work->digits_BC, B * 2 * C);
    if (work->at_once == 1) return;
    work->kept = work->n < MOST_KEPT ? work->n : MOST_KEPT;
    TAKE(work->kept_TS, work->kept * network->vocab.symbols);
    if (network->vocab.symbols < network->vocab.size) TAKE(work->kept_TZ, work->kept << network->vocab.shift);
}

static void cut_work(Arena *arena, const Model *model, Work *work, int network) {
    Memory *memories;
    Cache *caches;
    TAKE(memories, work->slots);
    TAKE(caches, work->slots);
    work->records_S = memories;
    work->caches_S = caches;
    for (int slot = 0; slot < work->slots; slot++) {
        cut_memory(arena, memories ? &memories[slot] : NULL, work->n, model->vocab.size);
        if (network) cut_cache(arena, model->network, caches ? &caches[slot] : NULL);
    }
    if (network) cut_scratch(arena, model->network, work);
    const int most = model->vocab.symbols > 1 << model->vocab.shift ? model->vocab.symbols : 1 << model->vocab.shift;
    TAKE(work->counts_S, most);
    TAKE(work->base_S, most);
    TAKE(work->mixed_S, most);
    TAKE(work->blocks, (most + BLOCK - 1) / BLOCK);
}

/* For `slots` records of up to `n` tokens, up to `at_once` of one in a step of the network; NULL if there is no memory. */
static Work *new_work(const Model *model, int64_t n, int slots, int at_once, int network) {
    Work *work = calloc(1, sizeof *work);
    if (!work) return NULL;
    work->n = n;
    work->slots = slots;
    work->at_once = at_once;
    Arena arena = {0};
    cut_work(&arena, model, work, network);
    work->memory = calloc(1, arena.used + CACHE_LINE);
    if (!work->memory) {
        free(work);
        return NULL;
    }
    arena.memory = (uint8_t *)work->memory + (CACHE_LINE - (uintptr_t)work->memory % CACHE_LINE) % CACHE_LINE;
    arena.used = 0;
    cut_work(&arena, model, work, network);
    return work;
}

static void free_work(Work *work) {
    if (work) free(work->memory);
    free(work);
}

#endif
