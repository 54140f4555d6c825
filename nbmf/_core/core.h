/* Types that all paths share: a codec version's parts, a record's memory, work space. What computes with them is compiled
 * once for each kind of processor (paths.c), bit for bit the same.
 *
 * Every float operation is one IEEE 754 operation, in the order in which it is written: no contraction, no reassociation.
 * Any change to a number that is worked out here is another bit stream.
 *
 * Suffixes of arrays: V vocabulary, I input ids, D d_model, F d_feed_forward, H heads, K d_head, M 2 * d_memory, C positions
 * of a ring, S slots (records in work), B tokens taken in at once, P rotary period.
 */
#ifndef NBMF_CORE_H
#define NBMF_CORE_H

#include <stddef.h>
#include <stdint.h>

#include "vector_types.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    COLUMNS = 4,           /* of a packed matrix that stand together */
    ROWS = 16,             /* what keys and values are filled up to: a multiple of every path's lanes */
    MATRIX_ROWS = 64,      /* what packed matrices' rows are filled up to */
    READY = 6,             /* bytes for each column of a vector that is multiplied */
    MARGIN = 64,           /* room behind the numbers of a sparse vector */
    AT_ONCE = 16,          /* most tokens of a record, or records, that are taken in at once */
    EXTRA_TOKENS = 8,      /* ids above the vocabulary: types of records; the last is padding */
    BLOCK = 64,            /* symbols whose frequencies are summed together */
    INT8_LIMIT = 127,
    RESIDUAL_LIMIT = 1 << 21,
    FREQUENCY_PEAK = 1 << 20,
    ATTENTION_PEAK = 1 << 15,
    SCALE = 1 << 28        /* what probability 1 becomes; every token gets at least 1 on top */
};

/* Of adaptation.h */
enum {
    STEPS = 2,  /* of the softmax: symbol, and token of a cluster */
    ORDERS = 4, /* contexts of 0, 1, 2 and 3 tokens */
    EXPERTS = ORDERS + 2,
    NETWORK_EXPERT = 0, /* 1 + k: counts of order k */
    COPY_EXPERT = ORDERS + 1,
    MATCH_LENGTHS = 16,
    LONGEST_MATCH = 32,
    CONFIDENCES = 4, /* buckets of the highest probability */
    COPY_ROWS = 7,   /* of match lengths */
    COPY_BUCKETS = 6, /* of the network's probability of the token to copy */
    GATES = ORDERS * 3 * CONFIDENCES,
    COPY_GATES = 1 + COPY_ROWS * COPY_BUCKETS,
    CONTEXTS = 5, /* of static counts */
    FOLLOWER_BLOCK = 16
};

/* What is predicted: in one step every token (singles = symbols = size), or a single token or a cluster first, and then a
 * token of the cluster. Clusters of 1 << shift tokens follow the singles. */
typedef struct {
    int size, singles, symbols, shift;
} Vocabulary;

/* An int8 matrix in the order in which a path's products read it: tiles of rows, in each the groups of COLUMNS columns, in
 * each the rows' bytes; or columns. Filled up with zeros. What else a path wants to know of it stands behind. */
typedef struct {
    uint8_t *bytes;
    int rows, columns; /* filled up */
} Packed;

enum { BYTES_A_TOKEN = 5 * STEPS, BYTES_A_STREAM = 32 }; /* of a stream, at most */

enum { ATTENTION = 0, CONVOLUTION = 1, TAPS = 3 };

typedef struct {
    int kind, dilation;
    Packed in;  /* attention: queries, keys and values [3D, D]; convolution: of the taps [D, TAPS * D] */
    Packed out; /* [D, D]; of a convolution by columns */
    Packed expand, contract; /* [F, D]; [D, F] by columns */
    const float *in_scale, *out_scale, *expand_scale, *contract_scale;
    const float *index_scale_H, *value_scale_H;
} Layer;

typedef struct {
    Vocabulary vocab;
    int input_ids, d_model, n_layers, n_heads, d_head, d_feed_forward, d_memory, bigram_bits, trigram_bits;
    int window, d_shift, rotary_period, ring;
    const int8_t *embedding_ID, *bigram_RM, *trigram_RM;
    const float *embedding_scale_I;
    Packed memory_in;
    const float *memory_in_scale_D;
    Layer *layers;
    Packed head, members; /* of the symbols; of the first cluster's tokens, the others behind it */
    const float *head_scale_V, *member_scale_V;
    const double *norm_factor_N;
    const float *norm_step_ND; /* or NULL: all of them 1 */
    const int32_t *attention_exp, *frequency_exp;
    int attention_last, frequency_last;
    const float *rotary_cos_P;
    const int32_t *rotary_turns_K;
    const int32_t *hash_id_I; /* or NULL: the ids */
} Network;

/* Sequences of 1 to CONTEXTS + 1 tokens in a trie, flat: those of one token first. Followers of one stand side by side,
 * sorted, behind all sequences of one token, in the order of what they follow. As in the file: a token in two arrays of
 * bytes, and of a context the number of its followers. */
typedef struct {
    Vocabulary vocab;
    int codes;
    int64_t sequences, contexts;
    const uint8_t *low_N, *high_N, *code_N;
    const uint16_t *followers_C;
    const int32_t *begin_B;    /* where the followers of every FOLLOWER_BLOCK-th context begin */
    const int64_t *followed_S; /* sums of the counts of what follows each single token */
    const float *unigram_S, *unigram_V; /* of symbols; of tokens */
    double count_of_code[256];
    int64_t value_of_code[256];
    double discount[CONTEXTS], spread[CONTEXTS], spread_floor[CONTEXTS];
} Counts;

/* A sequence that ends at the current position, and its followers. */
typedef struct {
    int64_t context; /* -1 where it is unknown */
    int32_t begin, count;
    double followed; /* sum of their counts */
} Followed;

/* Fitted on validation records; in the order of nbmf.neural.constants.Constants. */
typedef struct {
    double discount[ORDERS];     /* subtracted from every count of an order */
    double spread[ORDERS];       /* times distinct tokens: weight of the shorter context */
    double spread_floor[ORDERS]; /* that weight is at least this */
    double prior[STEPS][EXPERTS];       /* mixture weights at a record's start */
    double share[STEPS];                /* part of the prior mixed back after every token */
    double gate[STEPS][GATES][EXPERTS]; /* factors of the weights in each situation */
    double copy_gate[STEPS][COPY_GATES][EXPERTS];
    double gate_rate[STEPS];                         /* how fast the factors follow the record */
    double copy[STEPS][MATCH_LENGTHS][COPY_BUCKETS]; /* trust in a copy */
    double copy_strength[STEPS]; /* how many trials that trust is worth against the record's own */
    double network_share[STEPS][CONTEXTS + 1][CONFIDENCES][CONFIDENCES]; /* beside static counts */
    double flat_share; /* of records that are coded flat */
} Constants;

typedef struct {
    int32_t total, distinct, last, first_node;
} Context;

typedef struct {
    int32_t token, count, next;
} Node;

/* An outcome in a context: how often it followed, as how many different tokens. */
typedef struct {
    int32_t total, distinct;
} Seen;

/* What has been learnt of one record: counts of its own tokens, and the match to copy from. */
typedef struct {
    int64_t position, match_source, match_length;
    uint64_t slot_mask;
    int32_t *history; /* [n + 1] tokens, and below 0 marks of where a record begins behind others */
    int32_t *slots[ORDERS];
    uint64_t *slot_keys[ORDERS];
    Context *contexts[ORDERS];
    Node *nodes[ORDERS];
    int32_t *node_of_token; /* order 0: node + 1 */
    int64_t n_contexts[ORDERS], n_nodes[ORDERS];
    int64_t active[ORDERS], active_slot[ORDERS]; /* the context now, -1 when it is new */
    double copy_hits[STEPS][MATCH_LENGTHS][2];   /* hits, trials */
    double weight[STEPS][EXPERTS], gate[STEPS][GATES][EXPERTS], copy_gate[STEPS][COPY_GATES][EXPERTS];
    double chain[STEPS][EXPERTS]; /* probability of the outcome by each expert */
    double mixed[EXPERTS];        /* weights in force for this outcome */
    Seen seen[ORDERS];            /* the symbol, in the contexts now */
    Followed followed[CONTEXTS]; /* of the static counts */
    int flat;                    /* whether the network was too sure of the record */
} Memory;

/* What the network remembers of a record. */
typedef struct {
    int64_t position;
    int64_t tokens[2]; /* the last two */
    uint8_t *keys;     /* [L, H] packed [C, K] */
    int8_t *values;    /* [L, H] [K, C] as weighted_sums reads them */
    int8_t *shifted;   /* [L, d_shift] leading channels of the last input of attention */
    int8_t *taps;      /* [L] rings of inputs of convolutions */
} Cache;

/* Which places of the ring a token sees: begin to end and the last `around`; in whole blocks first to last. */
typedef struct {
    int64_t position; /* of the token in its record */
    int place, begin, end, around, first, last;
} Span;

typedef struct {
    void *memory; /* all below */
    int64_t n;    /* tokens that a record may have, with those before it */
    int slots, at_once;
    Memory *records_S;
    Cache *caches_S;
    /* for the tokens of one step of the network */
    int slot_B[AT_ONCE];
    int64_t token_B[AT_ONCE];
    Span span_B[AT_ONCE];
    float factor_B[AT_ONCE];
    int64_t total_B[AT_ONCE];
    float *cosine_BK, *sine_BK, *scaled_BE;
    int32_t *x_BD, *product_BR, *score_BC, *mixed_K, *frequency_BS, *member_Z;
    int8_t *y_BD, *memory_BM, *hidden_BF, *query_BK, *value_K, *taps_BD;
    int8_t *ready_BX; /* what is multiplied, as products reads it */
    int8_t *nonzero_F;  /* of a sparse vector: values, */
    int32_t *column_F;  /* and where their columns begin */
    uint8_t *digits_BC;
    int32_t *kept_TS, *kept_TZ; /* distances of the tokens that encoding takes at a time */
    int64_t kept;
    int product_stride, frequency_stride, hidden_stride, y_stride, memory_stride, query_stride, taps_stride, value_stride;
    /* for one outcome's mixture */
    int32_t *counts_S, *base_S, *mixed_S;
    int64_t *blocks;
} Work;

typedef struct {
    const Network *network; /* or NULL */
    const Counts *counts;   /* or NULL */
    const Constants *constants;
    Vocabulary vocab;
    const uint8_t *token_bytes;
    const int32_t *token_begin_V; /* [vocab + 1] */
    const Work *primer;           /* whose slot 0 has what every record begins with; or NULL */
    int64_t primed;               /* places of the history that these take, with one for where a record begins */
} Model;

/* Where the size of a record stands: beside its stream; in it; or it ends where its JSON value does. */
enum { SIZE_TOLD = 0, SIZE_IN_STREAM = 1, SIZE_AT_END = 2 };

typedef struct {
    int64_t depth;
    int in_string, escaped;
} JsonEnd;

/* A record to encode. */
typedef struct {
    int64_t type_id;
    const int32_t *tokens, *before; /* before: what it begins behind, see learn_before */
    int64_t count, n_before;
    int sizing;
} Spelt;

/* A record to decode, and what comes of it. */
typedef struct {
    const uint8_t *stream;
    size_t stream_bytes;
    int64_t type_id;
    size_t n_bytes; /* or the most that it may have, where its stream or its end tells */
    int sizing;
    const int32_t *before;
    int64_t n_before;
    uint8_t *out;
    int32_t *tokens; /* that it is spelt with, or NULL: they are not asked for */
    size_t n_tokens;
    int failed;
} Record;

typedef struct {
    uint64_t low, range;
    const uint8_t *stream;
    uint8_t *out;
    size_t position, length;
} RangeCoder;

/* How the next outcome was predicted. */
typedef struct {
    int gate, copy_gate;
    double trust;
    const int32_t *base_S, *counts_S; /* expected before the record's own counts; by static counts */
    int64_t base_total, counts_total, total;
    double counts_share; /* what static counts gave to the symbol that it was */
} Mixture;

/* Where the decoder is in the record of each slot. */
typedef struct {
    Record *record; /* NULL: the slot is free */
    int64_t last;
    int64_t learnt; /* of what it begins behind */
    int cluster; /* whose token comes next, or -1 */
    Mixture mixture; /* that predicted it */
    size_t decoded;  /* bytes */
    JsonEnd json;
    RangeCoder coder;
    int problem; /* that ended it */
} Slot;

/* NO_INTERVAL: numbers of the version that give none. NO_SIZE: a record that a stream cannot tell the size of. */
enum { DONE = 0, NO_MEMORY = -1, NO_INTERVAL = -2, NO_SIZE = -3 };

/* What one path offers. */
typedef struct {
    const char *name;
    int (*runs_here)(void);
    size_t (*packed_bytes)(int rows, int columns);
    void (*pack)(const int8_t *matrix, int rows, int columns, Packed *packed);
    void (*pack_columns)(const int8_t *matrix, int rows, int columns, Packed *packed);
    Work *(*new_work)(const Model *model, int64_t n, int slots, int at_once, int network);
    void (*free_work)(Work *work);
    int64_t (*encode_predicted)(const Model *model, Work *work, const int32_t *symbols_TS, const int32_t *members_TZ,
                                const Spelt *record, uint8_t *out);
    int (*decode)(const Model *model, Work *work, Slot *slots, Record *records, size_t count);
    int (*decode_tokens)(const Model *model, Work *work, Slot *slots, int taken);
    void (*start_decoding)(const Model *model, Work *work, int slot, Slot *state, Record *record);
    int (*decode_symbol)(const Model *model, Work *work, int slot, Slot *state, const int32_t *network_S, int64_t total);
    int (*decode_member)(const Model *model, Work *work, int slot, Slot *state, const int32_t *network_Z, int64_t total);
    void (*start_record)(const Model *model, Work *work, int slot);
    void (*prime)(const Model *model, Work *work, const Spelt *records, size_t count);
    void (*next_frequencies)(const Model *model, Work *work, int count);
    void (*next_distances)(const Model *model, Work *work, int count);
    void (*member_distances)(const Model *model, Work *work, int b, int cluster);
    int64_t (*frequencies_of)(const Network *network, int flat, const int32_t *distance, int count, int32_t *out);
    void (*tokens_to_copy)(const Model *model, Work *work, const int32_t *tokens, int64_t count, int64_t *out);
    double (*record_bits)(const Model *model, Work *work, const int32_t *tokens, int64_t count, const double *network_TS,
                          const double *copied_TS, const double *confidence_TS, double *gate_gradient,
                          double *copy_gradient, double *copy_counts);
    void (*counts_shares)(const Model *model, Work *work, int64_t type_id, const int32_t *tokens, const int64_t *expected,
                          int64_t count, double *token_TS, double *copied_TS, double *sure_TS, int64_t *order_TS);
    void (*predict)(const Model *model, Work *work, const int32_t *inputs, int64_t count, const int32_t *frequency_TS,
                    int32_t *base_TS, double *confidence_T, int64_t *contexts_TO);
    void (*repeat_phase)(const Model *model, Work *work, const int32_t *inputs, int64_t n_inputs, int phase, int count,
                         int64_t times);
    void (*products)(const Packed *matrix, const int8_t *x, size_t x_stride, int vectors, int8_t *ready_BX, int32_t *out,
                     size_t out_stride);
    void (*key_products)(const int8_t *matrix, int rows, int columns, uint8_t *keys, const int8_t *x, size_t x_stride,
                         int vectors, int8_t *ready_BX, int32_t *out, size_t out_stride);
    void (*sparse_products)(const Packed *matrix, const int8_t *x, size_t x_stride, int vectors, int8_t *value, int32_t *at,
                            int32_t *out, size_t out_stride);
    size_t (*range_encode)(const uint64_t *intervals, size_t count, uint8_t *out);
    void (*range_decode)(const uint8_t *stream, size_t length, const uint64_t *intervals, size_t count, uint64_t *targets);
    void (*stream_size)(const uint8_t *stream, size_t length, int sizing, uint64_t *least, uint64_t *most);
    double (*dot_product)(const double *x, const double *y, int n);
    void (*analyse_vectors)(const VectorSpace *space, const double *x_VD, const double *factor_V, VectorWork *work_V, int count);
    int (*quantise_vector)(const VectorSpace *space, const VectorStep *step, VectorWork *work, double weight);
    void (*encode_streams)(const VectorSpace *space, VectorStream *stream_V, int count);
    void (*decode_vectors)(const VectorSpace *space, VectorWork *work_V, VectorBody *body_V, int count);
    void (*vectors_back)(const VectorSpace *space, VectorWork *work_V, int count);
    int (*write_vector)(const VectorSpace *space, const VectorStep *step, VectorWork *work, NumberType type, uint32_t mantissa,
                        int exponent, void *out);
} Path;

extern const Path *const nbmf_paths[]; /* best first, NULL at the end */
const Path *nbmf_chosen_path(void); /* what is made now runs on */
void nbmf_choose_path(const Path *path);

#endif
