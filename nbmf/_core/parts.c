#include "parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

PyObject *nbmf_new_object(PyTypeObject *type) {
    return ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
}

void nbmf_free_object(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

void nbmf_release(Held *held) {
    for (size_t i = 0; i < held->n_views; i++) PyBuffer_Release(&held->views[i]);
    for (size_t i = 0; i < held->n_owned; i++) free(held->owned[i]);
    free(held->views);
    free(held->owned);
    *held = (Held){0};
}

void *nbmf_own(Held *held, size_t bytes) {
    void **owned = realloc(held->owned, (held->n_owned + 1) * sizeof *owned);
    if (owned) held->owned = owned;
    void *memory = owned ? calloc(1, bytes ? bytes : 1) : NULL;
    if (!memory) {
        PyErr_NoMemory();
        return NULL;
    }
    held->owned[held->n_owned++] = memory;
    return memory;
}

static size_t size_of(char type) {
    switch (type) {
    case 'b': case 'B': return 1;
    case 'h': case 'H': return 2;
    case 'i': case 'f': return 4;
    default: return 8;
    }
}

static int is_of_type(const Py_buffer *view, char type) {
    const char found = view->format ? *view->format : 'B';
    if ((size_t)view->itemsize != size_of(type) || (view->format && strlen(view->format) != 1)) return 0;
    if (type == 'f' || type == 'd') return found == type;
    const char *kinds = type == 'B' || type == 'H' ? "BHILQc" : "bhilq";
    return strchr(kinds, found) != NULL;
}

const void *nbmf_array_of(Held *held, PyObject *array, const char *name, char type, Py_ssize_t count, Py_ssize_t *found,
                          int writable) {
    Py_buffer *views = realloc(held->views, (held->n_views + 1) * sizeof *views);
    if (!views) {
        PyErr_NoMemory();
        return NULL;
    }
    held->views = views;
    Py_buffer *view = &held->views[held->n_views];
    if (PyObject_GetBuffer(array, view, (writable ? PyBUF_WRITABLE : 0) | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) return NULL;
    held->n_views++;
    const Py_ssize_t numbers = view->len / (view->itemsize ? view->itemsize : 1);
    if (!is_of_type(view, type) || (count >= 0 && numbers != count)) {
        PyErr_Format(PyExc_ValueError, "%s: %zd numbers of type %s, where %zd of type %c belong", name, numbers,
                     view->format ? view->format : "B", count, type);
        return NULL;
    }
    if (found) *found = numbers;
    if ((uintptr_t)view->buf % size_of(type) == 0) return numbers ? view->buf : "";
    if (writable) {
        PyErr_Format(PyExc_ValueError, "%s is not aligned", name);
        return NULL;
    }
    void *copy = nbmf_own(held, (size_t)view->len);
    return copy ? memcpy(copy, view->buf, (size_t)view->len) : NULL;
}

const void *nbmf_array(Held *held, PyObject *arrays, const char *name, char type, Py_ssize_t count, Py_ssize_t *found) {
    PyObject *array = PyDict_GetItemString(arrays, name);
    if (!array) {
        PyErr_Format(PyExc_ValueError, "%s is missing", name);
        return NULL;
    }
    return nbmf_array_of(held, array, name, type, count, found, 0);
}

static int size(PyObject *sizes, const char *name, int least, int most, int *to) {
    PyObject *value = PyDict_GetItemString(sizes, name);
    const long found = value ? PyLong_AsLong(value) : -1;
    if (found == -1 && PyErr_Occurred()) return -1;
    if (!value || found < least || found > most) {
        PyErr_Format(PyExc_ValueError, "%s is %ld, and must be %d to %d", name, found, least, most);
        return -1;
    }
    *to = (int)found;
    return 0;
}

/* Clusters are whole vectors of every path; they stand behind the single tokens. */
int nbmf_fill_vocabulary(Vocabulary *vocab, int tokens, int clusters, int cluster_size) {
    *vocab = (Vocabulary){.size = tokens, .singles = tokens, .symbols = tokens};
    if (clusters == 0) return 0;
    while (vocab->shift < 16 && 1 << vocab->shift < cluster_size) vocab->shift++;
    if (clusters > 0 && cluster_size >= ROWS && cluster_size == 1 << vocab->shift && clusters <= tokens >> vocab->shift) {
        vocab->singles = tokens - (clusters << vocab->shift);
        vocab->symbols = vocab->singles + clusters;
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "%d clusters of %d tokens in a vocabulary of %d: their size must be a power of two, %d or more",
                 clusters, cluster_size, tokens, ROWS);
    return -1;
}

/* `least` and `most` bound it; no number at all is refused in any case. */
static const float *factors(Held *held, PyObject *arrays, const char *name, Py_ssize_t count, float least) {
    const float *numbers = nbmf_array(held, arrays, name, 'f', count, NULL);
    if (!numbers) return NULL;
    for (Py_ssize_t i = 0; i < count; i++)
        if (!(numbers[i] >= least && numbers[i] <= 3.4e38f)) {
            PyErr_Format(PyExc_ValueError, "%s: a number out of range", name);
            return NULL;
        }
    return numbers;
}

#define ANY (-3.4e38f)

/* `parts` matrices of so many rows, one behind the other, each packed by `pack`. */
static int packed(Held *held, const Path *path, PyObject *arrays, const char *name, int parts, int rows, int columns,
                  void (*pack)(const int8_t *matrix, int rows, int columns, Packed *packed), Packed *to) {
    const size_t size = (size_t)rows * (size_t)columns, bytes = path->packed_bytes(rows, columns);
    const int8_t *matrix = nbmf_array(held, arrays, name, 'b', (Py_ssize_t)size * parts, NULL);
    if (!matrix) return -1;
    for (size_t i = 0; i < size * (size_t)parts; i++)
        if (matrix[i] < -INT8_LIMIT) {
            PyErr_Format(PyExc_ValueError, "%s: a weight of -128", name);
            return -1;
        }
    uint8_t *memory = nbmf_own(held, bytes * (size_t)parts + 64);
    if (!memory) return -1;
    memory += (64 - (uintptr_t)memory % 64) % 64;
    for (int part = parts - 1; part >= 0; part--) {
        to->bytes = memory + (size_t)part * bytes;
        pack(matrix + (size_t)part * size, rows, columns, to);
    }
    return 0;
}

/* A table of whole numbers, from `least` to `most`; returns its last index, -1 with ValueError set. */
static int table(Held *held, PyObject *arrays, const char *name, int32_t least, int32_t most, const int32_t **to) {
    Py_ssize_t count;
    const int32_t *numbers = nbmf_array(held, arrays, name, 'i', -1, &count);
    if (!numbers) return -1;
    int good = count > 0 && count < 1 << 20 && numbers[0] > 0;
    for (Py_ssize_t i = 0; good && i < count; i++) good = numbers[i] >= least && numbers[i] <= most;
    if (!good) {
        PyErr_Format(PyExc_ValueError, "%s: a number out of range", name);
        return -1;
    }
    *to = numbers;
    return (int)count - 1;
}

static int fill_layer(Layer *layer, const Network *network, Held *held, const Path *path, PyObject *arrays) {
    const int D = network->d_model, F = network->d_feed_forward, H = network->n_heads;
    if (!PyDict_Check(arrays)) {
        PyErr_SetString(PyExc_TypeError, "a layer is a dictionary");
        return -1;
    }
    layer->kind = PyDict_GetItemString(arrays, "dilation") ? CONVOLUTION : ATTENTION;
    if (layer->kind == CONVOLUTION && size(arrays, "dilation", 1, 1 << 12, &layer->dilation)) return -1;
    const int is_convolution = layer->kind == CONVOLUTION;
    const int rows = is_convolution ? D : 3 * D, columns = is_convolution ? TAPS * D : D;
    if (packed(held, path, arrays, "in", 1, rows, columns, path->pack, &layer->in) ||
        packed(held, path, arrays, "out", 1, D, D, is_convolution ? path->pack_columns : path->pack, &layer->out) ||
        packed(held, path, arrays, "expand", 1, F, D, path->pack, &layer->expand) ||
        packed(held, path, arrays, "contract", 1, D, F, path->pack_columns, &layer->contract))
        return -1;
    if (!(layer->in_scale = factors(held, arrays, "in_scale", rows, ANY)) ||
        !(layer->out_scale = factors(held, arrays, "out_scale", D, ANY)) ||
        !(layer->expand_scale = factors(held, arrays, "expand_scale", F, ANY)) ||
        !(layer->contract_scale = factors(held, arrays, "contract_scale", D, ANY)))
        return -1;
    if (layer->kind == ATTENTION && (!(layer->index_scale_H = factors(held, arrays, "index_scale", H, 0.0f)) ||
                                     !(layer->value_scale_H = factors(held, arrays, "value_scale", H, ANY))))
        return -1;
    return 0;
}

int nbmf_fill_network(Network *network, Held *held, const Path *path, PyObject *sizes, PyObject *arrays, PyObject *layers) {
    /* A window beyond 500 weights of ATTENTION_PEAK times values of 127 would not fit 32 bits. */
    int tokens, clusters, cluster_size;
    if (size(sizes, "vocab_size", 1, 1 << 16, &tokens) || size(sizes, "n_clusters", 0, 1 << 12, &clusters) ||
        size(sizes, "cluster_size", 0, 1 << 12, &cluster_size) ||
        nbmf_fill_vocabulary(&network->vocab, tokens, clusters, cluster_size) || size(sizes, "d_model", 1, 1 << 13, &network->d_model) ||
        size(sizes, "n_heads", 1, network->d_model, &network->n_heads) ||
        size(sizes, "d_feed_forward", 1, 1 << 15, &network->d_feed_forward) ||
        size(sizes, "d_memory", 1, 1 << 12, &network->d_memory) ||
        size(sizes, "bigram_bits", 1, 24, &network->bigram_bits) ||
        size(sizes, "trigram_bits", 1, 24, &network->trigram_bits) || size(sizes, "window", 1, 500, &network->window) ||
        size(sizes, "d_shift", 0, network->d_model, &network->d_shift) ||
        size(sizes, "rotary_period", 4, 1 << 20, &network->rotary_period) ||
        size(sizes, "n_input_ids", tokens + 1, 1 << 17, &network->input_ids))
        return -1;
    const int D = network->d_model, M = network->d_memory, S = network->vocab.symbols, members = tokens - network->vocab.singles;
    network->d_head = D / network->n_heads;
    if (network->n_heads * network->d_head != D || network->d_head % 2) {
        PyErr_SetString(PyExc_ValueError, "d_model is not an even number of channels for each head");
        return -1;
    }
    network->ring = (network->window + AT_ONCE - 1 + ROWS - 1) / ROWS * ROWS;
    const Py_ssize_t n_layers = PyList_Size(layers);
    if (n_layers < 0) return -1;
    if (n_layers > 64) {
        PyErr_SetString(PyExc_ValueError, "more than 64 layers");
        return -1;
    }
    network->n_layers = (int)n_layers;
    if (!(network->layers = nbmf_own(held, (size_t)(n_layers ? n_layers : 1) * sizeof(Layer)))) return -1;
    for (Py_ssize_t layer = 0; layer < n_layers; layer++)
        if (fill_layer(&network->layers[layer], network, held, path, PyList_GetItem(layers, layer))) return -1;
    if (!(network->embedding_ID = nbmf_array(held, arrays, "embedding_ID", 'b', (Py_ssize_t)network->input_ids * D, NULL)) ||
        !(network->bigram_RM = nbmf_array(held, arrays, "bigram_RM", 'b', ((Py_ssize_t)1 << network->bigram_bits) * M, NULL)) ||
        !(network->trigram_RM = nbmf_array(held, arrays, "trigram_RM", 'b', ((Py_ssize_t)1 << network->trigram_bits) * M, NULL)) ||
        !(network->embedding_scale_I = factors(held, arrays, "embedding_scale_I", network->input_ids, ANY)) ||
        packed(held, path, arrays, "memory_in_DM", 1, D, 2 * M, path->pack, &network->memory_in) ||
        !(network->memory_in_scale_D = factors(held, arrays, "memory_in_scale_D", D, ANY)) ||
        packed(held, path, arrays, "head_VD", 1, S, D, path->pack, &network->head) ||
        !(network->head_scale_V = factors(held, arrays, "head_scale_V", S, ANY)) ||
        !(network->rotary_cos_P = factors(held, arrays, "rotary_cos_P", network->rotary_period, -2.0f)))
        return -1;
    const Py_ssize_t norms = 2 * n_layers + 1;
    if (!(network->norm_factor_N = nbmf_array(held, arrays, "norm_factor_N", 'd', norms, NULL))) return -1;
    for (Py_ssize_t i = 0; i < norms; i++)
        if (!(fabs(network->norm_factor_N[i]) <= 1e30)) {
            PyErr_SetString(PyExc_ValueError, "norm_factor_N: a number out of range");
            return -1;
        }
    if (PyDict_GetItemString(arrays, "norm_step_ND") &&
        !(network->norm_step_ND = factors(held, arrays, "norm_step_ND", norms * D, 0.0f)))
        return -1;
    if (members && (packed(held, path, arrays, "member_VD", clusters, 1 << network->vocab.shift, D, path->pack,
                           &network->members) ||
                    !(network->member_scale_V = factors(held, arrays, "member_scale_V", members, ANY))))
        return -1;
    if (PyDict_GetItemString(arrays, "hash_id_I") &&
        !(network->hash_id_I = nbmf_array(held, arrays, "hash_id_I", 'i', network->input_ids, NULL)))
        return -1;
    network->attention_last = table(held, arrays, "attention_exp", 0, ATTENTION_PEAK, &network->attention_exp);
    network->frequency_last = table(held, arrays, "frequency_exp", 1, FREQUENCY_PEAK, &network->frequency_exp);
    if (network->attention_last < 0 || network->frequency_last < 0) return -1;
    const int pairs = network->d_head / 2;
    if (!(network->rotary_turns_K = nbmf_array(held, arrays, "rotary_turns_K", 'i', pairs, NULL))) return -1;
    for (int pair = 0; pair < pairs; pair++)
        if (network->rotary_turns_K[pair] < 0 || network->rotary_turns_K[pair] >= network->rotary_period) {
            PyErr_SetString(PyExc_ValueError, "rotary_turns_K: a number out of range");
            return -1;
        }
    return 0;
}

#define MOST_COUNT 1e9

static int no_counts(const char *what) {
    PyErr_Format(PyExc_ValueError, "no counts: %s", what);
    return -1;
}

/* From steps to tokens, in place: each from the follower before; the first of a context, and of all single tokens, from 0. */
static int make_tokens(uint8_t *low_N, uint8_t *high_N, const uint8_t *is_first_N, int64_t begin, int64_t end, uint32_t beyond) {
    uint32_t token = 0, too_high = 0, again = 0;
    for (int64_t node = begin; node < end; node++) {
        const uint32_t step = (uint32_t)(low_N[node] | high_N[node] << 8), first = is_first_N[node];
        token = (token & (first - 1)) + step;
        too_high |= token >= beyond;
        again |= (step == 0) & !first;
        low_N[node] = (uint8_t)token;
        high_N[node] = (uint8_t)(token >> 8);
    }
    if (too_high) return no_counts("tokens beyond the vocabulary");
    return again ? no_counts("tokens out of order") : 0;
}

/* Where the followers of contexts begin. Each length stands behind the one before, and all but the longest are contexts. */
static int fill_begins(const Counts *counts, int64_t single, int32_t *begin_B, uint8_t *is_first_N, int64_t *most_followers) {
    int64_t begin = single, ends = single;
    int lengths = 1;
    is_first_N[0] = 1;
    for (int64_t context = 0; context < counts->contexts; context++) {
        const int64_t followers = counts->followers_C[context];
        if (context == ends) {
            ends = begin;
            lengths++;
        }
        if (context % FOLLOWER_BLOCK == 0) begin_B[context / FOLLOWER_BLOCK] = (int32_t)begin;
        if (followers > counts->sequences - begin) return no_counts("sizes do not fit together");
        is_first_N[begin] = 1; /* of the next context that has followers, where this one has none */
        begin += followers;
        *most_followers = followers > *most_followers ? followers : *most_followers;
    }
    for (; lengths < CONTEXTS && counts->contexts == ends; lengths++) ends = begin; /* lengths without sequences */
    if (begin == counts->sequences && lengths == CONTEXTS && counts->contexts == ends) return 0;
    return no_counts("sizes do not fit together");
}

/* Sums of the counts of what follows contexts: those of single tokens into followed_S. */
static int fill_followed(const Counts *counts, int64_t single, int64_t most_followers, int64_t *followed_S) {
    int64_t most = 0, begin = single;
    for (int code = 0; code < counts->codes; code++)
        most = counts->value_of_code[code] > most ? counts->value_of_code[code] : most;
    const int64_t checked = most * most_followers > INT32_MAX ? counts->contexts : single;
    for (int64_t context = 0; context < checked; context++) {
        int64_t followed = 0;
        for (int follower = 0; follower < counts->followers_C[context]; follower++)
            followed += counts->value_of_code[counts->code_N[begin++]];
        if (followed > INT32_MAX) return no_counts("values out of range");
        if (context < single) followed_S[context] = followed;
    }
    return 0;
}

/* With counts of at least 1 and discounts below that, every frequency is positive. */
static int fill_values(Counts *counts, const double *values, Py_ssize_t codes) {
    if (codes < 1 || codes > 256) return no_counts("codes or parameters missing");
    counts->codes = (int)codes;
    int good = 1;
    for (Py_ssize_t code = 0; code < codes; code++) {
        good = good && values[code] >= 1.0 && values[code] <= MOST_COUNT;
        counts->count_of_code[code] = values[code];
        counts->value_of_code[code] = good ? (int64_t)values[code] : 0;
    }
    for (int order = 0; order < CONTEXTS; order++)
        good = good && counts->discount[order] >= 0.0 && counts->discount[order] < 1.0 && counts->spread[order] >= 0.0 &&
               counts->spread[order] <= MOST_COUNT && counts->spread_floor[order] >= 0.0 &&
               counts->spread_floor[order] <= MOST_COUNT;
    return good ? 0 : no_counts("values out of range");
}

int nbmf_fill_counts(Counts *counts, Held *held, PyObject *arrays, int vocab, int clusters, int cluster_size) {
    Py_ssize_t n, contexts, codes;
    const double *values, *discount, *spread, *spread_floor;
    PyObject *low = PyDict_GetItemString(arrays, "step_low_N"), *high = PyDict_GetItemString(arrays, "step_high_N");
    if (!low || !high) return no_counts("step_low_N or step_high_N is missing");
    uint8_t *low_N = (uint8_t *)nbmf_array_of(held, low, "step_low_N", 'B', -1, &n, 1), *high_N;
    if (!low_N || !(high_N = (uint8_t *)nbmf_array_of(held, high, "step_high_N", 'B', n, NULL, 1)) ||
        !(counts->code_N = nbmf_array(held, arrays, "code_N", 'B', n, NULL)) ||
        !(counts->followers_C = nbmf_array(held, arrays, "followers_C", 'H', -1, &contexts)) ||
        !(values = nbmf_array(held, arrays, "count_of_code", 'd', -1, &codes)) ||
        !(discount = nbmf_array(held, arrays, "discount_O", 'd', CONTEXTS, NULL)) ||
        !(spread = nbmf_array(held, arrays, "spread_O", 'd', CONTEXTS, NULL)) ||
        !(spread_floor = nbmf_array(held, arrays, "spread_floor_O", 'd', CONTEXTS, NULL)))
        return -1;
    const int64_t single = (int64_t)vocab + EXTRA_TOKENS;
    if (vocab < 1 || vocab > 1 << 16 || n > INT32_MAX || contexts > n || contexts < single)
        return no_counts("sizes do not fit together");
    if (nbmf_fill_vocabulary(&counts->vocab, vocab, clusters, cluster_size)) return -1;
    counts->sequences = n;
    counts->contexts = contexts;
    counts->low_N = low_N;
    counts->high_N = high_N;
    memcpy(counts->discount, discount, sizeof counts->discount);
    memcpy(counts->spread, spread, sizeof counts->spread);
    memcpy(counts->spread_floor, spread_floor, sizeof counts->spread_floor);
    if (fill_values(counts, values, codes)) return -1;
    uint8_t most_code = 0;
    for (Py_ssize_t node = 0; node < n; node++) most_code = counts->code_N[node] > most_code ? counts->code_N[node] : most_code;
    if (most_code >= codes) return no_counts("codes or parameters missing");
    int32_t *begin_B = nbmf_own(held, (size_t)(contexts / FOLLOWER_BLOCK + 1) * sizeof *begin_B);
    int64_t *followed_S = nbmf_own(held, (size_t)single * sizeof *followed_S), most_followers = 0;
    float *unigram_V = nbmf_own(held, (size_t)vocab * sizeof *unigram_V);
    float *unigram_S = clusters ? nbmf_own(held, (size_t)counts->vocab.symbols * sizeof *unigram_S) : unigram_V;
    uint8_t *is_first_N = calloc((size_t)n + 1, 1);
    if (!begin_B || !followed_S || !unigram_V || !unigram_S || !is_first_N) {
        free(is_first_N);
        if (!PyErr_Occurred()) PyErr_NoMemory();
        return -1;
    }
    const int failed = fill_begins(counts, single, begin_B, is_first_N, &most_followers) ||
                       fill_followed(counts, single, most_followers, followed_S) ||
                       make_tokens(low_N, high_N, is_first_N, 0, single, (uint32_t)single) ||
                       make_tokens(low_N, high_N, is_first_N, single, n, (uint32_t)vocab);
    free(is_first_N);
    if (failed) return -1;
    double sum = 0.0;
    for (int token = 0; token < vocab; token++) sum += (double)counts->value_of_code[counts->code_N[token]] + 1.0;
    for (int token = 0; token < vocab; token++)
        unigram_V[token] = (float)(((double)counts->value_of_code[counts->code_N[token]] + 1.0) * SCALE / sum);
    counts->begin_B = begin_B;
    counts->followed_S = followed_S;
    for (int token = 0; clusters && token < vocab; token++) {
        const int beyond = token - counts->vocab.singles;
        unigram_S[beyond < 0 ? token : counts->vocab.singles + (beyond >> counts->vocab.shift)] += unigram_V[token];
    }
    counts->unigram_V = unigram_V;
    counts->unigram_S = unigram_S;
    return 0;
}

/* Parts of a whole, and what is never negative: then the mixture's frequencies are bounded by SCALE. */
static int within(const double *numbers, size_t count, double least, double most) {
    int good = 1;
    for (size_t i = 0; i < count; i++) good = good && numbers[i] >= least && numbers[i] <= most;
    return good;
}

#define WITHIN(field, least, most) \
    within((const double *)&constants->field, sizeof constants->field / sizeof(double), least, most)

int nbmf_fill_constants(Constants *constants, PyObject *numbers) {
    Held held = {0};
    const Py_ssize_t count = sizeof *constants / sizeof(double);
    const double *found = nbmf_array_of(&held, numbers, "constants", 'd', count, NULL, 0);
    int good = found != NULL;
    if (good) {
        memcpy(constants, found, sizeof *constants);
        good = WITHIN(discount, 0.0, 1.0) && WITHIN(spread, 0.0, MOST_COUNT) && WITHIN(spread_floor, 0.0, MOST_COUNT) &&
               WITHIN(prior, 0.0, 1.0) && WITHIN(share, 0.0, 1.0) && WITHIN(gate, 0.0, MOST_COUNT) &&
               WITHIN(copy_gate, 0.0, MOST_COUNT) && WITHIN(gate_rate, 0.0, 1.0) && WITHIN(copy, 0.0, 1.0) &&
               WITHIN(copy_strength, 0.0, MOST_COUNT) && WITHIN(network_share, 0.0, 1.0) && WITHIN(flat_share, 0.0, 1.0);
        if (!good) PyErr_SetString(PyExc_ValueError, "no adaptation constants: a number out of range");
    }
    nbmf_release(&held);
    return good ? 0 : -1;
}
