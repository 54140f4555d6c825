/* The core without Python: random networks, counts, records and vectors by every path that this processor has; prints each path's
 * digest of all frequencies and streams. Equal for all paths, and for all processors that this is compiled for.
 *
 * What is random comes from whole numbers and single IEEE 754 operations alone, so that it is the same everywhere.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"

enum { RECORDS = 5, PERIOD = 256, TABLE = 700, MOST_TOKENS = 400 };

static uint64_t random_state;

static uint32_t random32(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static int below(int bound) { return (int)(random32() % (uint32_t)bound); }

/* Twice as many of the outermost ones as others. */
static int8_t weight(void) {
    const int value = below(257) - 128;
    return (int8_t)(value < -INT8_LIMIT ? -INT8_LIMIT : value > INT8_LIMIT ? INT8_LIMIT : value);
}

static void *zeros(size_t bytes) {
    void *memory = calloc(1, bytes + 64);
    if (!memory) abort();
    return (uint8_t *)memory + (64 - (uintptr_t)memory % 64) % 64; /* until the process ends */
}

static int8_t *weights(size_t count) {
    int8_t *made = zeros(count);
    for (size_t i = 0; i < count; i++) made[i] = weight();
    return made;
}

/* From `least` to twice that. */
static float *factors(int count, float least) {
    float *made = zeros((size_t)count * sizeof *made);
    for (int i = 0; i < count; i++) made[i] = least + least * (float)below(1 << 16) / 65536.0f;
    return made;
}

static Packed packed(const Path *path, int rows, int columns) {
    Packed made = {.bytes = zeros(path->packed_bytes(rows, columns))};
    path->pack(weights((size_t)rows * (size_t)columns), rows, columns, &made);
    return made;
}

static Packed packed_columns(const Path *path, int rows, int columns) {
    Packed made = {.bytes = zeros(path->packed_bytes(rows, columns))};
    path->pack_columns(weights((size_t)rows * (size_t)columns), rows, columns, &made);
    return made;
}

static Packed packed_parts(const Path *path, int parts, int rows, int columns) {
    const size_t bytes = path->packed_bytes(rows, columns);
    uint8_t *memory = zeros((size_t)parts * bytes);
    Packed made = {0};
    for (int part = 0; part < parts; part++) {
        made.bytes = memory + (size_t)part * bytes;
        path->pack(weights((size_t)rows * (size_t)columns), rows, columns, &made);
    }
    made.bytes = memory;
    return made;
}

static int32_t *falling(int32_t peak, int32_t least) {
    int32_t *made = zeros(TABLE * sizeof *made);
    for (int i = 0; i < TABLE; i++, peak -= peak / 48) made[i] = peak > least ? peak : least;
    made[TABLE - 1] = least;
    return made;
}

typedef struct {
    int vocab, d_model, heads, d_feed_forward, d_memory, window, d_shift, layers, convolutions, steps, clusters, shift;
} Shape;

static Vocabulary vocabulary_of(Shape shape) {
    const int singles = shape.vocab - (shape.clusters << shape.shift);
    return (Vocabulary){shape.vocab, singles, singles + shape.clusters, shape.shift};
}

static Network *network_of(const Path *path, Shape shape) {
    Network *made = zeros(sizeof *made);
    const int V = shape.vocab, D = shape.d_model, F = shape.d_feed_forward, M = shape.d_memory;
    *made = (Network){.vocab = vocabulary_of(shape), .input_ids = V + EXTRA_TOKENS, .d_model = D, .n_layers = shape.layers,
                      .n_heads = shape.heads, .d_head = D / shape.heads, .d_feed_forward = F, .d_memory = M,
                      .bigram_bits = 6, .trigram_bits = 7, .window = shape.window, .d_shift = shape.d_shift,
                      .rotary_period = PERIOD, .ring = (shape.window + AT_ONCE - 1 + ROWS - 1) / ROWS * ROWS,
                      .attention_last = TABLE - 1, .frequency_last = TABLE - 1};
    made->embedding_ID = weights((size_t)(V + EXTRA_TOKENS) * (size_t)D);
    made->bigram_RM = weights((size_t)M << made->bigram_bits);
    made->trigram_RM = weights((size_t)M << made->trigram_bits);
    made->embedding_scale_I = factors(V + EXTRA_TOKENS, 8.0f);
    made->memory_in = packed(path, D, 2 * M);
    made->memory_in_scale_D = factors(D, 0.01f);
    made->layers = zeros((size_t)shape.layers * sizeof *made->layers);
    for (int number = 0; number < shape.layers; number++) {
        Layer *layer = &made->layers[number];
        layer->kind = number % 2 < shape.convolutions ? CONVOLUTION : ATTENTION;
        layer->dilation = 1 + 3 * number;
        const int rows = layer->kind == CONVOLUTION ? D : 3 * D;
        layer->in = packed(path, rows, layer->kind == CONVOLUTION ? TAPS * D : D);
        layer->out = (layer->kind == CONVOLUTION ? packed_columns : packed)(path, D, D);
        layer->expand = packed(path, F, D);
        layer->contract = packed_columns(path, D, F);
        layer->in_scale = factors(rows, 0.001f);
        layer->out_scale = factors(D, 0.01f);
        layer->expand_scale = factors(F, 0.0005f);
        layer->contract_scale = factors(D, 0.01f);
        layer->index_scale_H = factors(shape.heads, 0.005f);
        layer->value_scale_H = factors(shape.heads, 0.9f);
    }
    made->head = packed(path, made->vocab.symbols, D);
    made->head_scale_V = factors(made->vocab.symbols, 0.004f);
    if (shape.clusters) {
        const int members = shape.clusters << shape.shift;
        int32_t *ids = zeros((size_t)made->input_ids * sizeof *ids);
        for (int id = 0; id < made->input_ids; id++) ids[id] = below(1 << 16);
        made->members = packed_parts(path, shape.clusters, 1 << shape.shift, D);
        made->member_scale_V = factors(members, 0.004f);
        made->hash_id_I = ids;
    }
    double *norm_factor = zeros((size_t)(2 * shape.layers + 1) * sizeof *norm_factor);
    for (int i = 0; i <= 2 * shape.layers; i++) norm_factor[i] = 200.0 + below(100);
    made->norm_factor_N = norm_factor;
    if (shape.steps) made->norm_step_ND = factors((2 * shape.layers + 1) * D, 0.75f);
    made->attention_exp = falling(ATTENTION_PEAK, 0);
    made->frequency_exp = falling(FREQUENCY_PEAK, 1);
    float *cosine = zeros(PERIOD * sizeof *cosine); /* near enough: straight from 1 to -1 and back */
    for (int i = 0; i < PERIOD; i++) cosine[i] = (float)(i < PERIOD / 2 ? PERIOD / 4 - i : i - 3 * PERIOD / 4) / (PERIOD / 4);
    made->rotary_cos_P = cosine;
    int32_t *turns = zeros((size_t)made->d_head * sizeof *turns);
    for (int pair = 0; pair < made->d_head / 2; pair++) turns[pair] = 1 + 5 * pair;
    made->rotary_turns_K = turns;
    return made;
}

static Counts *counts_of(Shape shape) {
    enum { MOST = 1 << 16 };
    Counts *made = zeros(sizeof *made);
    const Vocabulary vocab = vocabulary_of(shape);
    uint8_t *low = zeros(MOST), *high = zeros(MOST), *code = zeros(MOST);
    uint16_t *followers = zeros(MOST * sizeof *followers);
    int32_t *begin = zeros((MOST / FOLLOWER_BLOCK + 1) * sizeof *begin);
    int64_t *followed = zeros((size_t)(vocab.size + EXTRA_TOKENS) * sizeof *followed);
    int32_t nodes = vocab.size + EXTRA_TOKENS, context = 0;
    for (int32_t node = 0; node < nodes; node++)
        low[node] = (uint8_t)node, high[node] = (uint8_t)(node >> 8), code[node] = (uint8_t)below(256);
    for (int length = 1; length <= CONTEXTS; length++)
        for (const int32_t end = nodes; context < end; context++) {
            if (context % FOLLOWER_BLOCK == 0) begin[context / FOLLOWER_BLOCK] = nodes;
            for (int next = below(vocab.size); nodes < MOST && next < vocab.size; next += 1 + below(vocab.size), nodes++) {
                low[nodes] = (uint8_t)next;
                high[nodes] = (uint8_t)(next >> 8);
                code[nodes] = (uint8_t)below(256);
                followers[context]++;
                if (context < vocab.size + EXTRA_TOKENS) followed[context] += 1 + code[nodes] % 50;
            }
        }
    const float *unigram = factors(vocab.size, (float)SCALE / (float)vocab.size / 2.0f);
    float *of_symbols = zeros((size_t)vocab.symbols * sizeof *of_symbols);
    for (int token = 0; token < vocab.size; token++)
        of_symbols[token < vocab.singles ? token : vocab.singles + ((token - vocab.singles) >> vocab.shift)] += unigram[token];
    *made = (Counts){.vocab = vocab, .codes = 256, .sequences = nodes, .contexts = context, .low_N = low, .high_N = high,
                     .code_N = code, .followers_C = followers, .begin_B = begin, .followed_S = followed,
                     .unigram_S = of_symbols, .unigram_V = unigram};
    for (int i = 0; i < 256; i++) made->count_of_code[i] = 1 + i % 50, made->value_of_code[i] = 1 + i % 50;
    for (int i = 0; i < CONTEXTS; i++) made->discount[i] = 0.5, made->spread[i] = 0.7, made->spread_floor[i] = 0.4;
    return made;
}

static Constants *constants(void) {
    Constants *made = zeros(sizeof *made);
    double *number = (double *)(void *)made;
    for (size_t i = 0; i < sizeof *made / sizeof *number; i++) number[i] = 0.5 + below(1 << 16) / 262144.0;
    for (int step = 0; step < STEPS; step++) {
        for (int expert = 0; expert < EXPERTS; expert++) made->prior[step][expert] = 1.0 / EXPERTS;
        made->share[step] = 0.02;
        made->gate_rate[step] = 0.03;
        made->copy_strength[step] = 3.0;
    }
    return made;
}

static uint64_t digest;

static void digested(const void *data, size_t bytes) {
    const uint8_t *byte = data;
    for (size_t i = 0; i < bytes; i++) digest = (digest ^ byte[i]) * 0x100000001B3u;
}

static int32_t records[RECORDS][MOST_TOKENS];
static const int tokens_of_record[RECORDS] = {MOST_TOKENS, 1, 17, 150, 33};

/* Some of it again and again. */
static void make_records(int vocab) {
    for (int record = 0; record < RECORDS; record++)
        for (int i = 0; i < tokens_of_record[record]; i++)
            records[record][i] = i > 8 && below(4) ? records[record][i - 7] : below(vocab);
}

static void take_in(const Model *model, const Path *path, int at_once) {
    Work *work = path->new_work(model, 1, 1, at_once, 1);
    if (!work) abort();
    path->start_record(model, work, 0);
    for (int begin = 0; begin < MOST_TOKENS; begin += at_once) {
        const int count = MOST_TOKENS - begin < at_once ? MOST_TOKENS - begin : at_once;
        for (int b = 0; b < count; b++) work->slot_B[b] = 0, work->token_B[b] = records[0][begin + b];
        path->next_frequencies(model, work, count);
        for (int b = 0; b < count; b++)
            digested(work->frequency_BS + b * work->frequency_stride,
                     (size_t)model->vocab.symbols * sizeof *work->frequency_BS);
    }
    path->free_work(work);
}

static int there_and_back(const Model *model, const Path *path, int slots) {
    const int has_network = model->network != NULL;
    uint8_t *streams = zeros(RECORDS * (BYTES_A_TOKEN * MOST_TOKENS + BYTES_A_STREAM)), *out = zeros(RECORDS * 3 * MOST_TOKENS), *to = out;
    uint8_t *bytes = zeros(RECORDS * 3 * MOST_TOKENS), *byte = bytes;
    int32_t *tokens = zeros(RECORDS * MOST_TOKENS * sizeof *tokens);
    Record decoded[RECORDS];
    for (int record = 0; record < RECORDS; record++) {
        const int count = tokens_of_record[record];
        Work *work = path->new_work(model, model->primed + count + MOST_TOKENS, 1, AT_ONCE, has_network);
        if (!work) abort();
        uint8_t *stream = streams + record * (BYTES_A_TOKEN * MOST_TOKENS + BYTES_A_STREAM);
        const int before = has_network || !record ? 0 : record - 1;
        const Spelt spelt = {.type_id = model->vocab.size + record % 4, .tokens = records[record], .count = count,
                             .sizing = SIZE_IN_STREAM * (record % 2), .before = records[before],
                             .n_before = has_network || !record ? 0 : tokens_of_record[before]};
        const int64_t length = path->encode_predicted(model, work, NULL, NULL, &spelt, stream);
        path->free_work(work);
        if (length < 0) return 0;
        digested(stream, (size_t)length);
        uint8_t *const start = byte;
        for (int i = 0; i < count; i++) {
            const int32_t begin = model->token_begin_V[records[record][i]];
            const int32_t size = model->token_begin_V[records[record][i] + 1] - begin;
            memcpy(byte, model->token_bytes + begin, (size_t)size);
            byte += size;
        }
        decoded[record] = (Record){.stream = stream, .stream_bytes = (size_t)length, .type_id = spelt.type_id,
                                   .n_bytes = (size_t)(byte - start), .sizing = spelt.sizing, .before = spelt.before,
                                   .n_before = spelt.n_before, .out = to, .tokens = tokens + record * MOST_TOKENS};
        to += byte - start;
    }
    Slot states[AT_ONCE] = {0};
    Work *work = path->new_work(model, model->primed + 4 * MOST_TOKENS, slots, 1, has_network);
    if (!work) abort();
    const int problem = path->decode(model, work, states, decoded, RECORDS);
    path->free_work(work);
    for (int record = 0; record < RECORDS; record++)
        if (decoded[record].n_tokens != (size_t)tokens_of_record[record] ||
            memcmp(tokens + record * MOST_TOKENS, records[record], decoded[record].n_tokens * sizeof *tokens))
            return 0;
    return !problem && memcmp(out, bytes, (size_t)(byte - bytes)) == 0;
}

/* The same with every record behind three of them. */
static int primed_there_and_back(Model model, const Path *path, int slots) {
    const Spelt primer[] = {{.type_id = model.vocab.size, .tokens = records[3], .count = tokens_of_record[3]},
                            {.type_id = model.vocab.size + 1, .tokens = records[1], .count = tokens_of_record[1]},
                            {.type_id = model.vocab.size, .tokens = records[4], .count = tokens_of_record[4]}};
    model.primed = 4 + tokens_of_record[3] + tokens_of_record[1] + tokens_of_record[4];
    Work *work = path->new_work(&model, model.primed, 1, 1, 0);
    if (!work) abort();
    path->prime(&model, work, primer, sizeof primer / sizeof *primer);
    model.primer = work;
    const int good = there_and_back(&model, path, slots);
    path->free_work(work);
    return good;
}

static Model model_of(Shape shape, const Network *network, const Counts *counts) {
    const int vocab = shape.vocab;
    int32_t *begin = zeros((size_t)(vocab + 1) * sizeof *begin);
    for (int token = 0; token < vocab; token++) begin[token + 1] = begin[token] + 1 + token % 3;
    return (Model){.network = network, .counts = counts, .constants = constants(), .vocab = vocabulary_of(shape),
                   .token_bytes = (const uint8_t *)weights((size_t)begin[vocab]), .token_begin_V = begin};
}

/* ---- vectors ---- */

enum { VECTORS = 5, STEP_OCTAVES = 6, MOST_VECTOR_DIMS = 544 };

/* A rotation; or, with latents, rows of equal numbers with random signs, which are as long as a transform's may be. */
static VectorSpace space_of(int dims, int latents) {
    VectorSpace space = {.dims = dims, .latents = latents ? latents : dims, .tables = nbmf_vector_tables()};
    if (!space.tables) abort();
    if (!latents) {
        while (2 << space.block_log <= dims) space.block_log++;
        space.block_scale = space.block_log & 1 ? 1518500250u >> (space.block_log / 2) : (uint32_t)1 << (31 - space.block_log / 2);
        int32_t *signs = zeros(2 * (size_t)dims * sizeof *signs);
        for (int i = 0; i < 2 * dims; i++) signs[i] = -below(2);
        space.signs_2D = signs;
        return space;
    }
    space.dims_stride = (dims + 31) / 32 * 32;
    space.latents_stride = (latents + 31) / 32 * 32;
    int16_t *forward = zeros((size_t)latents * (size_t)space.dims_stride * sizeof *forward);
    int16_t *inverse = zeros((size_t)dims * (size_t)space.latents_stride * sizeof *inverse);
    int32_t *mean_D = zeros((size_t)dims * sizeof *mean_D), *gain_L = zeros((size_t)latents * sizeof *gain_L);
    double *mean_L = zeros((size_t)latents * sizeof *mean_L);
    for (int i = 0; i < latents; i++) {
        gain_L[i] = 2000 + below(1800);
        mean_L[i] = (below(256) - 128) / 4096.0;
        for (int j = 0; j < dims; j++)
            inverse[j * space.latents_stride + i] = forward[i * space.dims_stride + j] = (int16_t)(below(2) ? 3200 : -3200);
    }
    for (int j = 0; j < dims; j++) mean_D[j] = (below(256) - 128) * 65536;
    space.forward_LD = forward;
    space.inverse_DL = inverse;
    space.mean_D = mean_D;
    space.mean_L = mean_L;
    space.level_L = space.gain_L = gain_L;
    return space;
}

static VectorStep step_of(const VectorSpace *space, int number) {
    const size_t latents = (size_t)space->latents;
    int32_t *deviation = zeros(latents * sizeof *deviation);
    uint16_t *energy = zeros(latents * sizeof *energy);
    uint8_t *shift = zeros(latents), *with_zero = zeros(latents);
    for (size_t i = 0; i < latents; i++) {
        deviation[i] = 300 * number - 500 - (space->gain_L ? (int32_t)(1000 * i / latents) : 0);
        with_zero[i] = deviation[i] + OCTAVE < OCTAVE / 4;
        energy[i] = (uint16_t)(30000 + below(30000));
        shift[i] = (uint8_t)(12 + 2 * number);
    }
    return (VectorStep){.step = number, .half_step = 1.0 / (4 << number), .mean_factor = (uint64_t)1 << 30, .deviation_L = deviation,
                        .energy_L = energy, .energy_shift_L = shift, .with_zero_L = with_zero};
}

static void fill_work(const VectorSpace *space, VectorWork *work_V) {
    const size_t dims = (size_t)(space->forward_LD ? space->dims_stride : space->dims);
    const size_t latents = (size_t)(space->forward_LD ? space->latents_stride : space->latents);
    int16_t *input = zeros(2 * VECTORS * dims), *level = zeros(2 * VECTORS * latents);
    int32_t *product = zeros(4 * VECTORS * dims);
    for (size_t v = 0; v < VECTORS; v++)
        work_V[v] = (VectorWork){.input_D = input + v * dims, .level_L = level + v * latents, .product_D = product + v * dims,
                                 .index_L = zeros(4 * latents), .rotated_D = zeros(4 * dims), .row_L = zeros(4 * latents),
                                 .candidate_L4 = zeros(16 * latents), .latent_L = zeros(4 * latents),
                                 .scaled_L = zeros(4 * latents), .cost_L4 = zeros(16 * latents), .from_L = zeros(8 * latents),
                                 .sum_D = zeros(8 * dims), .used_L = zeros(latents),
                                 .expected_L = zeros(latents * sizeof(Expected)), .interval_L = zeros(4 * latents),
                                 .rest_L = zeros(2 * latents), .ratio_L = zeros(4 * latents)};
}

/* Streams of random vectors, with some numbers far out, and what they decode to as each type. */
static int vectors_there_and_back(const Path *path, const VectorSpace *space, const VectorStep *step) {
    const size_t dims = (size_t)space->dims, most = 16 * (size_t)space->latents + 64;
    double *x_VD = zeros(VECTORS * dims * sizeof *x_VD), factor_V[VECTORS], decoded[MOST_VECTOR_DIMS];
    VectorWork work_V[VECTORS], back_V[VECTORS];
    VectorStream stream_V[VECTORS];
    VectorBody body_V[VECTORS];
    fill_work(space, work_V);
    fill_work(space, back_V);
    int good = 1;
    for (int v = 0; v < VECTORS; v++) {
        double *x = x_VD + (size_t)v * dims;
        for (size_t i = 0; i < dims; i++) x[i] = (below(4096) + below(4096) - 4095) * (below(40) ? 1.0 : 6.0);
        const double square = path->dot_product(x, x, space->dims);
        digested(&square, sizeof square);
        factor_V[v] = (v + 1) / 5.0 / sqrt(square);
    }
    path->analyse_vectors(space, x_VD, factor_V, work_V, VECTORS);
    for (int v = 0; v < VECTORS; v++) {
        good = good && path->quantise_vector(space, step, &work_V[v], 0.3);
        stream_V[v] = (VectorStream){.work = &work_V[v], .out = zeros(most)};
    }
    if (!good) return 0;
    path->encode_streams(space, stream_V, VECTORS);
    for (int v = 0; v < VECTORS; v++) {
        digested(stream_V[v].out, stream_V[v].length);
        body_V[v] = (VectorBody){.step = step, .stream = stream_V[v].out, .length = stream_V[v].length};
    }
    path->decode_vectors(space, back_V, body_V, VECTORS);
    path->vectors_back(space, back_V, VECTORS);
    for (int v = 0; v < VECTORS; v++) {
        good = good && body_V[v].good && memcmp(work_V[v].level_L, back_V[v].level_L, 2 * (size_t)space->latents) == 0;
        for (int type = TO_FLOAT16; type <= TO_BFLOAT16; type++) {
            const size_t bytes = dims * (size_t)(type == TO_FLOAT64 ? 8 : type == TO_FLOAT32 ? 4 : 2);
            const int nothing = path->write_vector(space, step, &back_V[v], (NumberType)type, 70000, 3 * v, decoded);
            digested(&nothing, sizeof nothing); /* where all levels are zeros */
            if (!nothing) digested(decoded, bytes);
        }
    }
    return good;
}

static int all_vectors(const Path *path) {
    static const int dims_and_latents[][2] = {{8, 0}, {41, 0}, {384, 0}, {520, 0}, {100, 70}, {MOST_VECTOR_DIMS, 97}};
    int good = 1;
    for (size_t i = 0; i < sizeof dims_and_latents / sizeof *dims_and_latents; i++) {
        const VectorSpace space = space_of(dims_and_latents[i][0], dims_and_latents[i][1]);
        for (int number = 0; number < STEP_OCTAVES; number++) {
            const VectorStep step = step_of(&space, number);
            good = vectors_there_and_back(path, &space, &step) && good;
        }
    }
    return good;
}

int main(void) {
    static const Shape shapes[] = {
        {.vocab = 300, .d_model = 48, .heads = 3, .d_feed_forward = 104, .d_memory = 20, .window = 50, .d_shift = 12, .layers = 2},
        {.vocab = 517, .d_model = 60, .heads = 2, .d_feed_forward = 70, .d_memory = 9, .window = 129, .d_shift = 7, .layers = 3,
         .convolutions = 1, .steps = 1},
        {.vocab = 64, .d_model = 128, .heads = 1, .d_feed_forward = 256, .d_memory = 64, .window = 1, .layers = 2, .steps = 1},
        {.vocab = 340, .d_model = 48, .heads = 2, .d_feed_forward = 96, .d_memory = 16, .window = 40, .d_shift = 12, .layers = 2,
         .convolutions = 1, .steps = 1, .clusters = 9, .shift = 5},
    };
    for (const Path *const *path = nbmf_paths; *path; path++) {
        if (!(*path)->runs_here()) continue;
        int good = 1;
        digest = 0xCBF29CE484222325u;
        random_state = 7;
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            const int vocab = shapes[i].vocab;
            const Network *network = network_of(*path, shapes[i]);
            const Counts *counts = counts_of(shapes[i]);
            const Model both = model_of(shapes[i], network, counts), alone = model_of(shapes[i], network, NULL);
            const Model without = model_of(shapes[i], NULL, counts);
            make_records(vocab);
            take_in(&both, *path, 1);
            take_in(&both, *path, 5);
            take_in(&both, *path, AT_ONCE);
            good = good && there_and_back(&both, *path, 1) && there_and_back(&alone, *path, 3) &&
                   there_and_back(&without, *path, AT_ONCE) && primed_there_and_back(both, *path, 4) &&
                   primed_there_and_back(without, *path, 2);
        }
        good = all_vectors(*path) && good;
        printf("%s %016" PRIx64 "%s\n", (*path)->name, digest, good ? "" : " something was not decoded as it was encoded");
    }
    return 0;
}
