/* nbmf._core: the compiled core for Python. See nbmf/_core.pyi for what is offered. */
#include "parts.h"
#include "together.h"

#include <structmember.h>

#include <stdlib.h>
#include <string.h>

enum { KEPT_WORKS = 4, MOST_KEPT_TOKENS = 4096, MOST_PRIMED = 1 << 14 };

/* ---- which path ---- */

static const Path *path_named(const char *name) {
    for (const Path *const *path = nbmf_paths; *path; path++)
        if ((*path)->runs_here() && (!name || strcmp((*path)->name, name) == 0)) return *path;
    return NULL;
}

static PyObject *paths(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    PyObject *names = PyList_New(0);
    for (const Path *const *path = nbmf_paths; names && *path; path++) {
        if (!(*path)->runs_here()) continue;
        PyObject *name = PyUnicode_FromString((*path)->name);
        if (!name || PyList_Append(names, name)) Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

static int choose(const char *name) {
    const Path *path = path_named(name);
    if (!path) {
        PyObject *names = paths(NULL, NULL);
        if (names) PyErr_Format(PyExc_ValueError, "NBMF_CPU=%s is not for this processor, which can run %R", name, names);
        Py_XDECREF(names);
        return -1;
    }
    nbmf_choose_path(path);
    return 0;
}

static PyObject *use(PyObject *module, PyObject *name) {
    (void)module;
    const char *text = NULL;
    if (name != Py_None && !(text = PyUnicode_AsUTF8AndSize(name, NULL))) return NULL;
    if (choose(text)) return NULL;
    return PyUnicode_FromString(nbmf_chosen_path()->name);
}

static PyObject *cpu(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyUnicode_FromString(nbmf_chosen_path()->name);
}

/* ---- networks and counts: parts that models share ---- */

typedef struct {
    PyObject_HEAD
    Held held;
    const Path *path;
    Network network;
} NetworkObject;

typedef struct {
    PyObject_HEAD
    Held held;
    Counts counts;
    int clusters, cluster_size;
} CountsObject;

static PyObject *network_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    PyObject *sizes, *arrays, *layers;
    static char *names[] = {"sizes", "arrays", "layers", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, named, "O!O!O!", names, &PyDict_Type, &sizes, &PyDict_Type, &arrays,
                                     &PyList_Type, &layers))
        return NULL;
    NetworkObject *self = (NetworkObject *)nbmf_new_object(type);
    if (!self) return NULL;
    self->path = nbmf_chosen_path();
    if (nbmf_fill_network(&self->network, &self->held, self->path, sizes, arrays, layers)) Py_CLEAR(self);
    return (PyObject *)self;
}

static void network_free(PyObject *self) {
    nbmf_release(&((NetworkObject *)self)->held);
    nbmf_free_object(self);
}

static PyObject *counts_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    PyObject *arrays;
    int vocab, clusters = 0, cluster_size = 0;
    static char *names[] = {"arrays", "vocab_size", "n_clusters", "cluster_size", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, named, "O!i|ii", names, &PyDict_Type, &arrays, &vocab, &clusters, &cluster_size))
        return NULL;
    CountsObject *self = (CountsObject *)nbmf_new_object(type);
    if (!self) return NULL;
    self->clusters = clusters;
    self->cluster_size = cluster_size;
    if (nbmf_fill_counts(&self->counts, &self->held, arrays, vocab, clusters, cluster_size)) Py_CLEAR(self);
    return (PyObject *)self;
}

static void counts_free(PyObject *self) {
    nbmf_release(&((CountsObject *)self)->held);
    nbmf_free_object(self);
}

static PyType_Slot network_slots[] = {
    {Py_tp_new, network_new}, {Py_tp_dealloc, network_free},
    {Py_tp_doc, "A network's weights, in the order in which the core reads them."}, {0, NULL}};
static PyType_Spec network_spec = {"nbmf._core.Network", sizeof(NetworkObject), 0, Py_TPFLAGS_DEFAULT, network_slots};
static PyMemberDef counts_members[] = {
    {"vocab_size", T_INT, offsetof(CountsObject, counts.vocab.size), READONLY, "Tokens that can be predicted."},
    {"n_clusters", T_INT, offsetof(CountsObject, clusters), READONLY, "Of the tokens behind the single ones."},
    {"cluster_size", T_INT, offsetof(CountsObject, cluster_size), READONLY, "Tokens of each cluster."}, {NULL, 0, 0, 0, NULL}};
static PyType_Slot counts_slots[] = {
    {Py_tp_new, counts_new}, {Py_tp_dealloc, counts_free}, {Py_tp_members, counts_members},
    {Py_tp_doc, "Static counts; its arrays are not copied, and steps become tokens in place."}, {0, NULL}};
static PyType_Spec counts_spec = {"nbmf._core.Counts", sizeof(CountsObject), 0, Py_TPFLAGS_DEFAULT, counts_slots};
static PyTypeObject *network_type, *counts_type, *model_type, *tokenizer_type;

/* ---- models ---- */

typedef struct {
    PyObject_HEAD
    Held held;
    const Path *path;
    PyObject *network, *counts;
    Constants constants;
    Model model;
    Work *kept[KEPT_WORKS], *primer;
    Together *together; /* NULL until it is first asked */
} ModelObject;

static int same_vocabulary(const Vocabulary *one, const Vocabulary *other) {
    return memcmp(one, other, sizeof *one) == 0;
}

static int valid_type(const ModelObject *self, long type_id);
static const int32_t *tokens_of(const ModelObject *self, Held *held, PyObject *array, Py_ssize_t *count);

/* From a list of (tokens, type id) what the model's records begin with; 0 with an exception set. */
static int prime_model(ModelObject *self, PyObject *primer) {
    const Py_ssize_t count = PyList_Size(primer);
    if (count < 1) return 1;
    Held held = {0};
    Spelt *records = nbmf_own(&held, (size_t)count * sizeof *records);
    int64_t places = 1;
    int good = records != NULL;
    for (Py_ssize_t index = 0; good && index < count; index++) {
        PyObject *tokens;
        Py_ssize_t n_tokens;
        long type_id;
        good = PyArg_ParseTuple(PyList_GetItem(primer, index), "Ol", &tokens, &type_id) && valid_type(self, type_id) &&
               (records[index].tokens = tokens_of(self, &held, tokens, &n_tokens)) != NULL;
        if (!good) break;
        records[index].type_id = type_id;
        records[index].count = n_tokens;
        places += 1 + n_tokens;
        if (places <= MOST_PRIMED) continue;
        PyErr_Format(PyExc_ValueError, "a primer of more than %d tokens and records", MOST_PRIMED - 1);
        good = 0;
    }
    Work *work = good ? self->path->new_work(&self->model, places, 1, 1, 0) : NULL;
    if (good && !work) PyErr_NoMemory();
    if (work) {
        self->path->prime(&self->model, work, records, (size_t)count);
        self->model.primer = self->primer = work;
        self->model.primed = places;
    }
    nbmf_release(&held);
    return work != NULL;
}

static PyObject *model_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    PyObject *network, *counts, *constants, *token_bytes, *token_begin, *primer = NULL;
    int clusters = 0, cluster_size = 0;
    static char *names[] = {"network", "counts", "constants", "token_bytes", "token_begin_V", "n_clusters", "cluster_size", "primer",
                            NULL};
    if (!PyArg_ParseTupleAndKeywords(args, named, "OOOOO|iiO!", names, &network, &counts, &constants, &token_bytes, &token_begin,
                                     &clusters, &cluster_size, &PyList_Type, &primer))
        return NULL;
    ModelObject *self = (ModelObject *)nbmf_new_object(type);
    if (!self) return NULL;
    Model *model = &self->model;
    self->path = nbmf_chosen_path(); /* before anything fails: it frees */
    Py_ssize_t begins, n_bytes;
    if (!(model->token_begin_V = nbmf_array_of(&self->held, token_begin, "token_begin_V", 'i', -1, &begins, 0)) ||
        !(model->token_bytes = nbmf_array_of(&self->held, token_bytes, "token_bytes", 'B', -1, &n_bytes, 0)) ||
        nbmf_fill_vocabulary(&model->vocab, (int)(begins - 1), clusters, cluster_size) ||
        nbmf_fill_constants(&self->constants, constants)) {
        Py_DECREF(self);
        return NULL;
    }
    model->constants = &self->constants;
    int good = begins > 1 && begins <= (1 << 16) + 1 && model->token_begin_V[0] == 0 &&
               model->token_begin_V[begins - 1] == n_bytes;
    for (Py_ssize_t token = 1; good && token < begins; token++)
        good = model->token_begin_V[token] > model->token_begin_V[token - 1];
    const char *problem = good ? NULL : "a vocabulary with tokens of no bytes: a damaged stream could be decoded without end";
    if (network != Py_None) {
        if (Py_TYPE(network) != network_type) problem = "no Network";
        else {
            model->network = &((NetworkObject *)network)->network;
            self->path = ((NetworkObject *)network)->path;
            if (!same_vocabulary(&model->network->vocab, &model->vocab) ||
                model->network->input_ids != model->vocab.size + EXTRA_TOKENS)
                problem = "a network of another vocabulary";
        }
        self->network = Py_NewRef(network);
    }
    if (counts != Py_None) {
        if (Py_TYPE(counts) != counts_type) problem = "no Counts";
        else {
            model->counts = &((CountsObject *)counts)->counts;
            if (!same_vocabulary(&model->counts->vocab, &model->vocab)) problem = "counts of another vocabulary";
        }
        self->counts = Py_NewRef(counts);
    }
    if (problem) PyErr_SetString(PyExc_ValueError, problem);
    else if (!primer || prime_model(self, primer)) return (PyObject *)self;
    Py_DECREF(self);
    return NULL;
}

static void model_free(PyObject *object) {
    ModelObject *self = (ModelObject *)object;
    for (int i = 0; i < KEPT_WORKS; i++) self->path->free_work(self->kept[i]);
    self->path->free_work(self->primer);
    nbmf_free_together(self->together, self->path);
    Py_XDECREF(self->network);
    Py_XDECREF(self->counts);
    nbmf_release(&self->held);
    nbmf_free_object(object);
}

/* Work space for one record, kept for the next, as making it takes longer than coding a small record; or for more. With the
 * GIL held. */
static Work *borrow(ModelObject *self, int64_t n, int slots, int at_once) {
    const int64_t primed = self->model.primed;
    int64_t room = 256;
    while (room < n) room *= 4;
    if (slots == 1 && room <= MOST_KEPT_TOKENS)
        for (int i = 0; i < KEPT_WORKS; i++) {
            Work *work = self->kept[i];
            if (!work || work->n != primed + room || work->at_once != at_once) continue;
            self->kept[i] = NULL;
            return work;
        }
    Work *work = self->path->new_work(&self->model, primed + (slots == 1 && room <= MOST_KEPT_TOKENS ? room : n), slots, at_once,
                                      self->model.network != NULL);
    if (!work) PyErr_NoMemory();
    return work;
}

static void give_back(ModelObject *self, Work *work) {
    if (work->slots == 1 && work->n <= self->model.primed + MOST_KEPT_TOKENS)
        for (int i = 0; i < KEPT_WORKS; i++)
            if (!self->kept[i]) {
                self->kept[i] = work;
                return;
            }
    self->path->free_work(work);
}

static int valid_type(const ModelObject *self, long type_id) {
    if (type_id >= self->model.vocab.size && type_id < self->model.vocab.size + EXTRA_TOKENS) return 1;
    PyErr_Format(PyExc_ValueError, "%ld is no id of a type of records", type_id);
    return 0;
}

static const int32_t *tokens_of(const ModelObject *self, Held *held, PyObject *array, Py_ssize_t *count) {
    const int32_t *tokens = nbmf_array_of(held, array, "tokens", 'i', -1, count, 0);
    for (Py_ssize_t i = 0; tokens && i < *count; i++)
        if (tokens[i] < 0 || tokens[i] >= self->model.vocab.size) {
            PyErr_Format(PyExc_ValueError, "%d is no token", (int)tokens[i]);
            return NULL;
        }
    return tokens;
}

static const int32_t *inputs_of(const ModelObject *self, Held *held, PyObject *array, Py_ssize_t *count) {
    const int32_t *inputs = nbmf_array_of(held, array, "inputs", 'i', -1, count, 0);
    for (Py_ssize_t i = 0; inputs && i < *count; i++)
        if (inputs[i] < 0 || inputs[i] >= self->model.vocab.size + EXTRA_TOKENS) {
            PyErr_Format(PyExc_ValueError, "%d is no input", (int)inputs[i]);
            return NULL;
        }
    return inputs;
}

static int predicts(const ModelObject *self) {
    if (self->model.network || self->model.counts) return 1;
    PyErr_SetString(PyExc_ValueError, "a model without network and counts predicts nothing");
    return 0;
}

static PyObject *raise_for(int64_t problem) {
    if (problem == NO_MEMORY) return PyErr_NoMemory();
    PyErr_SetString(PyExc_ValueError, problem == NO_SIZE ? "a stream does not tell the size of this record"
                                                         : "the version's numbers give no probabilities");
    return NULL;
}

/* Places of a cluster's tokens in an array of `count` rows; 0 where there are no clusters. */
static Py_ssize_t members_of(const ModelObject *self, Py_ssize_t count) {
    const Vocabulary *vocab = &self->model.vocab;
    return vocab->symbols < vocab->size ? count << vocab->shift : 0;
}

static int valid_sizing(int sizing) {
    if (sizing == SIZE_TOLD || sizing == SIZE_IN_STREAM || sizing == SIZE_AT_END) return 1;
    PyErr_Format(PyExc_ValueError, "%d is no way to tell a size", sizing);
    return 0;
}

/* The tokens that a record begins behind, which may be None; 0 with an exception set. */
static int before_of(const ModelObject *self, Held *held, PyObject *before, const int32_t **tokens, int64_t *n_tokens) {
    *tokens = NULL;
    *n_tokens = 0;
    if (!before || before == Py_None) return 1;
    Py_ssize_t count;
    if (!(*tokens = tokens_of(self, held, before, &count))) return 0;
    *n_tokens = count;
    if (!self->model.network) return 1;
    PyErr_SetString(PyExc_ValueError, "a network does not begin behind other tokens");
    return 0;
}

static PyObject *encode_with(ModelObject *self, PyObject *tokens, long type_id, int sizing, PyObject *before,
                             PyObject *symbols, PyObject *members) {
    Held held = {0};
    Py_ssize_t count = 0;
    PyObject *result = NULL;
    Spelt record = {.type_id = type_id, .sizing = sizing};
    const int32_t *tokens_T = tokens_of(self, &held, tokens, &count), *symbols_TS = NULL, *members_TZ = NULL;
    if (tokens_T && !before_of(self, &held, before, &record.before, &record.n_before)) tokens_T = NULL;
    record.tokens = tokens_T;
    record.count = count;
    if (tokens_T && symbols) {
        symbols_TS = nbmf_array_of(&held, symbols, "symbols", 'i', count * self->model.vocab.symbols, NULL, 0);
        if (symbols_TS && !(members_TZ = nbmf_array_of(&held, members, "members", 'i', members_of(self, count), NULL, 0)))
            symbols_TS = NULL;
    }
    if (tokens_T && predicts(self) && valid_type(self, type_id) && valid_sizing(sizing) && (!symbols || symbols_TS)) {
        Work *work = borrow(self, record.n_before + count, 1, AT_ONCE);
        uint8_t *out = work ? malloc(BYTES_A_TOKEN * (size_t)count + BYTES_A_STREAM) : NULL;
        if (out) {
            int64_t length;
            Py_BEGIN_ALLOW_THREADS
            length = self->path->encode_predicted(&self->model, work, symbols_TS, members_TZ, &record, out);
            Py_END_ALLOW_THREADS
            result = length < 0 ? raise_for(length) : PyBytes_FromStringAndSize((char *)out, (Py_ssize_t)length);
            free(out);
        } else if (work) PyErr_NoMemory();
        if (work) give_back(self, work);
    }
    nbmf_release(&held);
    return result;
}

static PyObject *model_encode(PyObject *self, PyObject *args) {
    PyObject *tokens, *before = NULL;
    long type_id;
    int sizing = SIZE_TOLD;
    if (!PyArg_ParseTuple(args, "Ol|iO", &tokens, &type_id, &sizing, &before)) return NULL;
    return encode_with((ModelObject *)self, tokens, type_id, sizing, before, NULL, NULL);
}

static PyObject *model_encode_predicted(PyObject *self, PyObject *args) {
    PyObject *tokens, *symbols, *members;
    long type_id;
    int sizing = SIZE_TOLD;
    if (!PyArg_ParseTuple(args, "OlOO|i", &tokens, &type_id, &symbols, &members, &sizing)) return NULL;
    return encode_with((ModelObject *)self, tokens, type_id, sizing, NULL, symbols, members);
}

/* ---- decoding ---- */

/* Records from a list of (stream, bytes of the record, type id, sizing, tokens before it or None), and what they are decoded
 * to. The bytes are the most that there may be, where the stream or its end tells. */
typedef struct {
    Held held;
    PyObject *streams;
    Record *records;
    size_t count; /* of those that are not empty */
    uint8_t *out;
    int32_t *tokens; /* NULL: they are not asked for */
    size_t longest;  /* with what is before it */
} Batch;

static void free_batch(Batch *batch) {
    nbmf_release(&batch->held);
    Py_CLEAR(batch->streams);
    free(batch->records);
    free(batch->out);
    free(batch->tokens);
    batch->records = NULL;
    batch->out = NULL;
    batch->tokens = NULL;
}

static int fill_batch(const ModelObject *self, Batch *batch, PyObject *streams, int as_tokens) {
    const Py_ssize_t count = PyList_Size(streams);
    if (count < 0) return -1;
    batch->streams = Py_NewRef(streams);
    batch->records = calloc((size_t)count + 1, sizeof *batch->records);
    if (!batch->records) {
        PyErr_NoMemory();
        return -1;
    }
    size_t whole = 0;
    for (Py_ssize_t index = 0; index < count; index++) {
        PyObject *stream, *before = NULL;
        Py_ssize_t n_bytes, stream_bytes;
        long type_id;
        int sizing;
        if (!PyArg_ParseTuple(PyList_GetItem(streams, index), "Onli|O", &stream, &n_bytes, &type_id, &sizing, &before))
            return -1;
        if (n_bytes <= 0) continue;
        Record *record = &batch->records[batch->count++];
        if (!valid_type(self, type_id) || !valid_sizing(sizing) ||
            !before_of(self, &batch->held, before, &record->before, &record->n_before) ||
            !(record->stream = nbmf_array_of(&batch->held, stream, "stream", 'B', -1, &stream_bytes, 0)))
            return -1;
        record->stream_bytes = (size_t)stream_bytes;
        record->n_bytes = (size_t)n_bytes;
        record->type_id = type_id;
        record->sizing = sizing;
        whole += (size_t)n_bytes;
        const size_t length = (size_t)record->n_before + (size_t)n_bytes;
        batch->longest = length > batch->longest ? length : batch->longest;
    }
    if (batch->longest >= INT32_MAX - 1 - MOST_PRIMED || !(batch->out = malloc(whole ? whole : 1)) ||
        (as_tokens && !(batch->tokens = malloc((whole ? whole : 1) * sizeof *batch->tokens)))) {
        PyErr_NoMemory();
        return -1;
    }
    size_t at = 0;
    for (size_t index = 0; index < batch->count; index++) {
        batch->records[index].out = batch->out + at;
        if (as_tokens) batch->records[index].tokens = batch->tokens + at;
        at += batch->records[index].n_bytes;
    }
    return 0;
}

/* The bytes of each record, or its tokens; None of one that its stream can't be. */
static PyObject *results_of(const Batch *batch) {
    const Py_ssize_t count = PyList_Size(batch->streams);
    PyObject *results = PyList_New(0);
    const Record *record = batch->records;
    for (Py_ssize_t index = 0; results && index < count; index++) {
        const Py_ssize_t n_bytes = PyLong_AsSsize_t(PyTuple_GetItem(PyList_GetItem(batch->streams, index), 1));
        PyObject *data;
        if (n_bytes <= 0) data = PyBytes_FromStringAndSize("", 0);
        else if (record->failed) data = Py_NewRef(Py_None), record++;
        else if (record->tokens)
            data = PyBytes_FromStringAndSize((char *)record->tokens, (Py_ssize_t)(record->n_tokens * sizeof *record->tokens)), record++;
        else data = PyBytes_FromStringAndSize((char *)record->out, (Py_ssize_t)record->n_bytes), record++;
        if (!data || PyList_Append(results, data)) Py_CLEAR(results);
        Py_XDECREF(data);
    }
    return results;
}

static int valid_width(int side_by_side) {
    if (side_by_side >= 1 && side_by_side <= AT_ONCE) return 1;
    PyErr_Format(PyExc_ValueError, "%d records side by side, of at most %d", side_by_side, AT_ONCE);
    return 0;
}

static PyObject *model_decode(PyObject *object, PyObject *args) {
    ModelObject *self = (ModelObject *)object;
    PyObject *streams, *results = NULL;
    int side_by_side, as_tokens = 0;
    if (!PyArg_ParseTuple(args, "O!i|p", &PyList_Type, &streams, &side_by_side, &as_tokens)) return NULL;
    if (!valid_width(side_by_side)) return NULL;
    Batch batch = {0};
    if (predicts(self) && !fill_batch(self, &batch, streams, as_tokens)) {
        if (batch.count) {
            const int slots = batch.count < (size_t)side_by_side ? (int)batch.count : side_by_side;
            Slot states[AT_ONCE] = {0};
            Work *work = borrow(self, (int64_t)batch.longest, slots, 1);
            if (work) {
                int problem;
                Py_BEGIN_ALLOW_THREADS
                problem = self->path->decode(&self->model, work, states, batch.records, batch.count);
                Py_END_ALLOW_THREADS
                give_back(self, work);
                results = problem ? raise_for(problem) : results_of(&batch);
            }
        } else results = results_of(&batch);
    }
    free_batch(&batch);
    return results;
}

static PyObject *model_decode_together(PyObject *object, PyObject *args) {
    ModelObject *self = (ModelObject *)object;
    PyObject *streams, *results = NULL;
    int side_by_side, lanes, as_tokens = 0;
    if (!PyArg_ParseTuple(args, "O!ii|p", &PyList_Type, &streams, &side_by_side, &lanes, &as_tokens)) return NULL;
    if (lanes < 1 || !valid_width(side_by_side)) return lanes < 1 ? PyErr_Format(PyExc_ValueError, "%d lanes", lanes) : NULL;
    if (!self->together && !(self->together = nbmf_new_together())) return PyErr_NoMemory();
    Batch batch = {0};
    if (predicts(self) && !fill_batch(self, &batch, streams, as_tokens)) {
        int problem = DONE;
        if (batch.count) {
            Py_BEGIN_ALLOW_THREADS
            problem = nbmf_decode_together(self->together, lanes, side_by_side, self->path, &self->model, batch.records,
                                           batch.count);
            Py_END_ALLOW_THREADS
        }
        results = problem ? raise_for(problem) : results_of(&batch);
    }
    free_batch(&batch);
    return results;
}

/* How far below the likeliest the network expects each outcome after some inputs, a type id first: of symbols [T, symbols],
 * and of the tokens of the cluster [T, cluster size] that each target is of; zeros where it is of none. */
static PyObject *model_distances(PyObject *object, PyObject *args) {
    ModelObject *self = (ModelObject *)object;
    PyObject *inputs, *targets, *symbols, *members;
    int at_once;
    Py_ssize_t count, n_targets;
    if (!PyArg_ParseTuple(args, "OOiOO", &inputs, &targets, &at_once, &symbols, &members)) return NULL;
    if (!self->model.network || at_once < 1 || at_once > AT_ONCE)
        return PyErr_Format(PyExc_ValueError, "no network, or not 1 to %d at once", AT_ONCE);
    Held held = {0};
    PyObject *result = NULL;
    const Vocabulary *vocab = &self->model.vocab;
    const int32_t *inputs_T = inputs_of(self, &held, inputs, &count), *targets_T = NULL;
    int32_t *symbols_TS = NULL, *members_TZ = NULL;
    if (inputs_T && (targets_T = tokens_of(self, &held, targets, &n_targets)) && n_targets != count)
        return nbmf_release(&held), PyErr_Format(PyExc_ValueError, "%zd inputs, and %zd targets", count, n_targets);
    if (targets_T &&
        (symbols_TS = (int32_t *)nbmf_array_of(&held, symbols, "symbols", 'i', count * vocab->symbols, NULL, 1)))
        members_TZ = (int32_t *)nbmf_array_of(&held, members, "members", 'i', members_of(self, count), NULL, 1);
    Work *work = members_TZ ? borrow(self, 1, 1, at_once) : NULL;
    if (work) {
        Py_BEGIN_ALLOW_THREADS
        const size_t size = (size_t)1 << vocab->shift;
        self->path->start_record(&self->model, work, 0);
        for (Py_ssize_t begin = 0; begin < count; begin += at_once) {
            const int taken = count - begin < at_once ? (int)(count - begin) : at_once;
            for (int b = 0; b < taken; b++) {
                work->slot_B[b] = 0;
                work->token_B[b] = inputs_T[begin + b];
            }
            self->path->next_distances(&self->model, work, taken);
            for (int b = 0; b < taken; b++) {
                const int beyond = targets_T[begin + b] - vocab->singles;
                memcpy(symbols_TS + (begin + b) * vocab->symbols, work->frequency_BS + b * work->frequency_stride,
                       (size_t)vocab->symbols * sizeof *symbols_TS);
                if (vocab->symbols == vocab->size) continue;
                int32_t *members_Z = members_TZ + (size_t)(begin + b) * size;
                memset(members_Z, 0, size * sizeof *members_Z);
                if (beyond < 0) continue;
                self->path->member_distances(&self->model, work, b, beyond >> vocab->shift);
                memcpy(members_Z, work->member_Z, size * sizeof *members_Z);
            }
        }
        Py_END_ALLOW_THREADS
        give_back(self, work);
        result = Py_NewRef(Py_None);
    }
    nbmf_release(&held);
    return result;
}

/* ---- decoding with a network that runs elsewhere ---- */

typedef struct {
    PyObject_HEAD
    ModelObject *model;
    Batch batch;
    Slot *slots;
    Work *work;
} DecoderObject;

static PyTypeObject *decoder_type;

static PyObject *model_decoder(PyObject *object, PyObject *streams) {
    ModelObject *model = (ModelObject *)object;
    if (!PyList_Check(streams)) return PyErr_Format(PyExc_TypeError, "streams are a list");
    if (!model->model.network) return PyErr_Format(PyExc_ValueError, "the version has no network");
    DecoderObject *self = (DecoderObject *)nbmf_new_object(decoder_type);
    if (!self) return NULL;
    self->model = (ModelObject *)Py_NewRef(object);
    if (fill_batch(model, &self->batch, streams, 0)) {
        Py_DECREF(self);
        return NULL;
    }
    const size_t count = self->batch.count;
    self->slots = calloc(count + 1, sizeof *self->slots);
    const int64_t places = model->model.primed + (int64_t)self->batch.longest;
    self->work = self->slots ? model->path->new_work(&model->model, places, (int)count, 1, 0) : NULL;
    if (!self->work) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    for (size_t slot = 0; slot < count; slot++)
        model->path->start_decoding(&model->model, self->work, (int)slot, &self->slots[slot], &self->batch.records[slot]);
    return (PyObject *)self;
}

static void decoder_free(PyObject *object) {
    DecoderObject *self = (DecoderObject *)object;
    if (self->work) self->model->path->free_work(self->work);
    free(self->slots);
    free_batch(&self->batch);
    Py_XDECREF((PyObject *)self->model);
    nbmf_free_object(object);
}

/* [(slot, last token)] of the records that go on. */
static PyObject *decoder_going_on(PyObject *object, PyObject *unused) {
    (void)unused;
    DecoderObject *self = (DecoderObject *)object;
    PyObject *result = PyList_New(0);
    for (size_t slot = 0; result && slot < self->batch.count; slot++) {
        if (!self->slots[slot].record) continue;
        PyObject *pair = Py_BuildValue("(nn)", (Py_ssize_t)slot, (Py_ssize_t)self->slots[slot].last);
        if (!pair || PyList_Append(result, pair)) Py_CLEAR(result);
        Py_XDECREF(pair);
    }
    return result;
}

/* [(slot, cluster)] of the records whose next token is of a cluster. */
static PyObject *decoder_clusters(PyObject *object, PyObject *unused) {
    (void)unused;
    DecoderObject *self = (DecoderObject *)object;
    PyObject *result = PyList_New(0);
    for (size_t slot = 0; result && slot < self->batch.count; slot++) {
        if (!self->slots[slot].record || self->slots[slot].cluster < 0) continue;
        PyObject *pair = Py_BuildValue("(ni)", (Py_ssize_t)slot, self->slots[slot].cluster);
        if (!pair || PyList_Append(result, pair)) Py_CLEAR(result);
        Py_XDECREF(pair);
    }
    return result;
}

/* A step of each record that waits for one, from the network's distances for each, in order. */
static PyObject *decode_outcomes(DecoderObject *self, PyObject *distances, int of_clusters) {
    const ModelObject *model = self->model;
    const Path *path = model->path;
    const int outcomes = of_clusters ? 1 << model->model.vocab.shift : model->model.vocab.symbols;
    Py_ssize_t waiting = 0, others = 0;
    for (size_t slot = 0; slot < self->batch.count; slot++)
        if (self->slots[slot].record) *((self->slots[slot].cluster >= 0) == of_clusters ? &waiting : &others) += 1;
    if (!of_clusters && others) return PyErr_Format(PyExc_ValueError, "%zd records wait for a token of a cluster", others);
    Held held = {0};
    const int32_t *distance_S = nbmf_array_of(&held, distances, "distances", 'i', waiting * outcomes, NULL, 0);
    int32_t *frequency_S = distance_S ? nbmf_own(&held, (size_t)outcomes * sizeof *frequency_S) : NULL;
    PyObject *result = frequency_S ? Py_None : NULL;
    int problem = DONE;
    if (frequency_S) {
        Py_BEGIN_ALLOW_THREADS
        for (size_t number = 0; number < self->batch.count && !problem; number++) {
            Slot *slot = &self->slots[number];
            if (!slot->record || (slot->cluster >= 0) != of_clusters) continue;
            const int64_t total = path->frequencies_of(model->model.network, self->work->records_S[number].flat, distance_S,
                                                       outcomes, frequency_S);
            problem = (of_clusters ? path->decode_member : path->decode_symbol)(&model->model, self->work, (int)number, slot,
                                                                                frequency_S, total);
            distance_S += outcomes;
        }
        Py_END_ALLOW_THREADS
    }
    nbmf_release(&held);
    if (problem) return raise_for(problem);
    return Py_XNewRef(result);
}

static PyObject *decoder_step(PyObject *object, PyObject *distances) {
    return decode_outcomes((DecoderObject *)object, distances, 0);
}

static PyObject *decoder_step_members(PyObject *object, PyObject *distances) {
    return decode_outcomes((DecoderObject *)object, distances, 1);
}

static PyObject *decoder_results(PyObject *object, PyObject *unused) {
    (void)unused;
    return results_of(&((DecoderObject *)object)->batch);
}

static PyMethodDef decoder_methods[] = {
    {"going_on", decoder_going_on, METH_NOARGS, "[(slot, last token)] of the records that have not ended."},
    {"step", decoder_step, METH_O, "A symbol of each record that goes on, from distances int32 [records, symbols]."},
    {"clusters", decoder_clusters, METH_NOARGS, "[(slot, cluster)] of the records whose next token is of a cluster."},
    {"step_members", decoder_step_members, METH_O, "That token of each, from distances int32 [records, cluster size]."},
    {"results", decoder_results, METH_NOARGS, "The bytes of each record; None of one that its stream can't be."},
    {NULL, NULL, 0, NULL}};
static PyType_Slot decoder_slots[] = {{Py_tp_dealloc, decoder_free}, {Py_tp_methods, decoder_methods}, {0, NULL}};
static PyType_Spec decoder_spec = {"nbmf._core.Decoder", sizeof(DecoderObject), 0,
                                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, decoder_slots};

/* ---- fitting ---- */

static PyObject *model_tokens_to_copy(PyObject *object, PyObject *args) {
    ModelObject *self = (ModelObject *)object;
    PyObject *tokens, *out, *result = NULL;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "OO", &tokens, &out)) return NULL;
    Held held = {0};
    const int32_t *tokens_T = tokens_of(self, &held, tokens, &count);
    int64_t *out_T = tokens_T ? (int64_t *)nbmf_array_of(&held, out, "out", 'q', count, NULL, 1) : NULL;
    Work *work = out_T ? borrow(self, count, 1, AT_ONCE) : NULL;
    if (work) {
        Py_BEGIN_ALLOW_THREADS
        self->path->tokens_to_copy(&self->model, work, tokens_T, count, out_T);
        Py_END_ALLOW_THREADS
        give_back(self, work);
        result = Py_NewRef(Py_None);
    }
    nbmf_release(&held);
    return result;
}

static PyObject *model_record_bits(PyObject *object, PyObject *args) {
    ModelObject *self = (ModelObject *)object;
    PyObject *tokens, *network, *copied, *confidence, *gates, *copy_gates, *copies, *result = NULL;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "OOOOOOO", &tokens, &network, &copied, &confidence, &gates, &copy_gates, &copies)) return NULL;
    Held held = {0};
    const double *network_T, *copied_T, *confidence_T;
    double *gate_GE, *copy_gate_GE, *copy_LB2;
    const int32_t *tokens_T = tokens_of(self, &held, tokens, &count);
    if (tokens_T && (network_T = nbmf_array_of(&held, network, "network", 'd', STEPS * count, NULL, 0)) &&
        (copied_T = nbmf_array_of(&held, copied, "copied", 'd', STEPS * count, NULL, 0)) &&
        (confidence_T = nbmf_array_of(&held, confidence, "confidence", 'd', STEPS * count, NULL, 0)) &&
        (gate_GE = (double *)nbmf_array_of(&held, gates, "gates", 'd', STEPS * GATES * EXPERTS, NULL, 1)) &&
        (copy_gate_GE = (double *)nbmf_array_of(&held, copy_gates, "copy gates", 'd', STEPS * COPY_GATES * EXPERTS, NULL, 1)) &&
        (copy_LB2 = (double *)nbmf_array_of(&held, copies, "copies", 'd', STEPS * MATCH_LENGTHS * COPY_BUCKETS * 2, NULL, 1))) {
        Work *work = borrow(self, count, 1, AT_ONCE);
        if (work) {
            double bits;
            Py_BEGIN_ALLOW_THREADS
            bits = self->path->record_bits(&self->model, work, tokens_T, count, network_T, copied_T, confidence_T, gate_GE,
                                           copy_gate_GE, copy_LB2);
            Py_END_ALLOW_THREADS
            give_back(self, work);
            result = PyFloat_FromDouble(bits);
        }
    }
    nbmf_release(&held);
    return result;
}

static PyObject *model_counts_shares(PyObject *object, PyObject *args) {
    ModelObject *self = (ModelObject *)object;
    PyObject *tokens, *expected, *token, *copied, *sure, *order, *result = NULL;
    long type_id;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "lOOOOOO", &type_id, &tokens, &expected, &token, &copied, &sure, &order)) return NULL;
    if (!valid_type(self, type_id)) return NULL;
    if (!self->model.counts) return PyErr_Format(PyExc_ValueError, "the version has no counts");
    Held held = {0};
    const int64_t *expected_T = NULL;
    double *token_T, *copied_T, *sure_T;
    int64_t *order_T;
    const int32_t *tokens_T = tokens_of(self, &held, tokens, &count);
    int good = tokens_T && (expected_T = nbmf_array_of(&held, expected, "expected", 'q', count, NULL, 0));
    for (Py_ssize_t i = 0; good && i < count; i++)
        if (!(good = expected_T[i] < self->model.vocab.size)) PyErr_SetString(PyExc_ValueError, "an expected token that is none");
    if (good && (token_T = (double *)nbmf_array_of(&held, token, "token", 'd', STEPS * count, NULL, 1)) &&
        (copied_T = (double *)nbmf_array_of(&held, copied, "copied", 'd', STEPS * count, NULL, 1)) &&
        (sure_T = (double *)nbmf_array_of(&held, sure, "sure", 'd', STEPS * count, NULL, 1)) &&
        (order_T = (int64_t *)nbmf_array_of(&held, order, "order", 'q', STEPS * count, NULL, 1))) {
        Work *work = borrow(self, 1, 1, AT_ONCE);
        if (work) {
            Py_BEGIN_ALLOW_THREADS
            self->path->counts_shares(&self->model, work, type_id, tokens_T, expected_T, count, token_T, copied_T, sure_T,
                                      order_T);
            Py_END_ALLOW_THREADS
            give_back(self, work);
            result = Py_NewRef(Py_None);
        }
    }
    nbmf_release(&held);
    return result;
}

/* ---- parts by themselves: for tests and measurements ---- */

static PyObject *model_predictions(PyObject *object, PyObject *args) {
    ModelObject *self = (ModelObject *)object;
    PyObject *inputs, *frequencies, *base, *confidence, *contexts, *result = NULL;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "OOOOO", &inputs, &frequencies, &base, &confidence, &contexts)) return NULL;
    const int vocab = self->model.vocab.symbols;
    Held held = {0};
    const int32_t *frequency_TV = NULL;
    int32_t *base_TV;
    double *confidence_T;
    int64_t *contexts_TO;
    const int32_t *inputs_T = inputs_of(self, &held, inputs, &count);
    if (inputs_T && !predicts(self)) inputs_T = NULL;
    if (inputs_T && (self->model.network != NULL) != (frequencies != Py_None))
        PyErr_SetString(PyExc_ValueError, "frequencies are of a network");
    else if (inputs_T &&
             (frequencies == Py_None ||
              (frequency_TV = nbmf_array_of(&held, frequencies, "frequencies", 'i', count * vocab, NULL, 0))) &&
             (base_TV = (int32_t *)nbmf_array_of(&held, base, "base", 'i', count * vocab, NULL, 1)) &&
             (confidence_T = (double *)nbmf_array_of(&held, confidence, "confidence", 'd', count, NULL, 1)) &&
             (contexts_TO = (int64_t *)nbmf_array_of(&held, contexts, "contexts", 'q', count * CONTEXTS, NULL, 1))) {
        Work *work = borrow(self, 1, 1, AT_ONCE);
        if (work) {
            self->path->predict(&self->model, work, inputs_T, count, frequency_TV, base_TV, confidence_T, contexts_TO);
            give_back(self, work);
            result = Py_NewRef(Py_None);
        }
    }
    nbmf_release(&held);
    return result;
}

static PyObject *model_repeat_phase(PyObject *object, PyObject *args) {
    ModelObject *self = (ModelObject *)object;
    PyObject *inputs, *result = NULL;
    int phase, at_once;
    Py_ssize_t count;
    long long times;
    if (!PyArg_ParseTuple(args, "OiiL", &inputs, &phase, &at_once, &times)) return NULL;
    if (!self->model.network || at_once < 1 || at_once > AT_ONCE)
        return PyErr_Format(PyExc_ValueError, "no network, or not 1 to %d at once", AT_ONCE);
    Held held = {0};
    const int32_t *inputs_T = inputs_of(self, &held, inputs, &count);
    if (inputs_T && count < at_once) {
        nbmf_release(&held);
        return PyErr_Format(PyExc_ValueError, "%zd inputs, of which %d are taken in at once", count, at_once);
    }
    Work *work = inputs_T ? borrow(self, 1, 1, at_once) : NULL;
    if (work) {
        Py_BEGIN_ALLOW_THREADS
        self->path->start_record(&self->model, work, 0);
        for (Py_ssize_t begin = 0; begin + at_once <= count; begin += at_once) {
            for (int b = 0; b < at_once; b++) work->token_B[b] = inputs_T[begin + b];
            memset(work->slot_B, 0, sizeof work->slot_B);
            self->path->next_frequencies(&self->model, work, at_once);
        }
        self->path->repeat_phase(&self->model, work, inputs_T, count, phase, at_once, times);
        Py_END_ALLOW_THREADS
        give_back(self, work);
        result = Py_NewRef(Py_None);
    }
    nbmf_release(&held);
    return result;
}

static int filled_up(int size) { return (size + MATRIX_ROWS - 1) / MATRIX_ROWS * MATRIX_ROWS; }

static PyObject *products(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *matrix, *x, *out, *result = NULL;
    int rows, columns, vectors, sparse = 0, keys = 0;
    if (!PyArg_ParseTuple(args, "OiiOiO|pp", &matrix, &rows, &columns, &x, &vectors, &out, &sparse, &keys)) return NULL;
    if (keys && (rows % MATRIX_ROWS || columns % COLUMNS)) return PyErr_Format(PyExc_ValueError, "sizes of no keys");
    if (rows < 1 || columns < 1 || rows > 1 << 14 || columns > 1 << 16 || vectors < 1 || vectors > AT_ONCE)
        return PyErr_Format(PyExc_ValueError, "sizes out of range");
    const Path *path = nbmf_chosen_path();
    Held held = {0};
    Packed packed = {0};
    const int wide = filled_up(columns), tall = filled_up(rows);
    const int8_t *matrix_RK = nbmf_array_of(&held, matrix, "matrix", 'b', (Py_ssize_t)rows * columns, NULL, 0), *x_BK;
    int32_t *out_BR, *column_K;
    int8_t *wide_BK, *nonzero_K, *ready_BX;
    if (matrix_RK && (x_BK = nbmf_array_of(&held, x, "x", 'b', (Py_ssize_t)vectors * columns, NULL, 0)) &&
        (out_BR = (int32_t *)nbmf_array_of(&held, out, "out", 'i', (Py_ssize_t)vectors * tall, NULL, 1)) &&
        (packed.bytes = nbmf_own(&held, path->packed_bytes(rows, columns))) &&
        (wide_BK = nbmf_own(&held, (size_t)vectors * (size_t)wide)) &&
        (ready_BX = nbmf_own(&held, (size_t)vectors * READY * (size_t)wide)) &&
        (nonzero_K = nbmf_own(&held, (size_t)wide + MARGIN)) &&
        (column_K = nbmf_own(&held, ((size_t)wide + MARGIN) * sizeof *column_K))) {
        int least = 0;
        for (int i = 0; sparse && i < vectors * columns; i++) least = x_BK[i] < least ? x_BK[i] : least;
        if (least < 0) {
            PyErr_SetString(PyExc_ValueError, "a negative number in a sparse vector");
            nbmf_release(&held);
            return NULL;
        }
        if (!keys) (sparse ? path->pack_columns : path->pack)(matrix_RK, rows, columns, &packed);
        for (int b = 0; b < vectors; b++) memcpy(wide_BK + b * wide, x_BK + b * columns, (size_t)columns);
        if (keys)
            path->key_products(matrix_RK, rows, columns, packed.bytes, wide_BK, (size_t)wide, vectors, ready_BX, out_BR, (size_t)tall);
        else if (sparse)
            path->sparse_products(&packed, wide_BK, (size_t)wide, vectors, nonzero_K, column_K, out_BR, (size_t)tall);
        else path->products(&packed, wide_BK, (size_t)wide, vectors, ready_BX, out_BR, (size_t)tall);
        result = Py_NewRef(Py_None);
    }
    nbmf_release(&held);
    return result;
}

static const uint64_t *intervals_of(Held *held, PyObject *array, size_t *count) {
    Py_ssize_t numbers;
    const uint64_t *intervals = nbmf_array_of(held, array, "intervals", 'q', -1, &numbers, 0);
    *count = intervals ? (size_t)numbers / 3 : 0;
    for (size_t i = 0; i < *count; i++) {
        const uint64_t before = intervals[3 * i], frequency = intervals[3 * i + 1], total = intervals[3 * i + 2];
        if (total == 0 || total > (uint64_t)1 << 32 || frequency == 0 || frequency > total || before > total - frequency) {
            PyErr_SetString(PyExc_ValueError, "no interval");
            return NULL;
        }
    }
    return intervals;
}

static PyObject *range_encode(PyObject *module, PyObject *array) {
    (void)module;
    Held held = {0};
    size_t count;
    PyObject *result = NULL;
    const uint64_t *intervals = intervals_of(&held, array, &count);
    uint8_t *out = intervals ? nbmf_own(&held, BYTES_A_TOKEN * count + BYTES_A_STREAM) : NULL;
    if (out) result = PyBytes_FromStringAndSize((char *)out, (Py_ssize_t)nbmf_chosen_path()->range_encode(intervals, count, out));
    nbmf_release(&held);
    return result;
}

static PyObject *range_decode(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *stream, *array, *out, *result = NULL;
    if (!PyArg_ParseTuple(args, "OOO", &stream, &array, &out)) return NULL;
    Held held = {0};
    size_t count;
    Py_ssize_t length;
    uint64_t *targets;
    const uint64_t *intervals = intervals_of(&held, array, &count);
    const uint8_t *bytes = intervals ? nbmf_array_of(&held, stream, "stream", 'B', -1, &length, 0) : NULL;
    if (bytes && (targets = (uint64_t *)nbmf_array_of(&held, out, "targets", 'q', (Py_ssize_t)count, NULL, 1))) {
        nbmf_chosen_path()->range_decode(bytes, (size_t)length, intervals, count, targets);
        result = Py_NewRef(Py_None);
    }
    nbmf_release(&held);
    return result;
}

static PyObject *model_cpu(PyObject *self, void *unused) {
    (void)unused;
    return PyUnicode_FromString(((ModelObject *)self)->path->name);
}

static PyMethodDef model_methods[] = {
    {"encode", model_encode, METH_VARARGS, "encode(tokens, type_id, sizing=SIZE_TOLD, before=None): the stream of a record."},
    {"encode_predicted", model_encode_predicted, METH_VARARGS,
     "encode_predicted(tokens, type_id, symbols, members, sizing=SIZE_TOLD): the same from the network's distances."},
    {"decode", model_decode, METH_VARARGS,
     "decode(streams, side_by_side, as_tokens=False): of (stream, bytes, type id, sizing, before=None) the records."},
    {"decode_together", model_decode_together, METH_VARARGS,
     "decode_together(streams, side_by_side, lanes, as_tokens=False): the same, side by side with the records of other threads."},
    {"decoder", model_decoder, METH_O, "decoder(streams): one that is given the network's distances step by step."},
    {"distances", model_distances, METH_VARARGS, "distances(inputs, targets, at_once, symbols, members): the network's after each input."},
    {"tokens_to_copy", model_tokens_to_copy, METH_VARARGS, "tokens_to_copy(tokens, out): that the copy expert expects, or -1."},
    {"record_bits", model_record_bits, METH_VARARGS,
     "record_bits(tokens, network, copied, confidence, gates, copy_gates, copies): bits by the mixture; adds to the last three."},
    {"predictions", model_predictions, METH_VARARGS,
     "predictions(inputs, frequencies, base, confidence, contexts): before the record's own counts, into the last three."},
    {"repeat_phase", model_repeat_phase, METH_VARARGS, "repeat_phase(inputs, phase, at_once, times): after taking in inputs."},
    {"counts_shares", model_counts_shares, METH_VARARGS,
     "counts_shares(type_id, tokens, expected, token, copied, sure, order): what static counts gave, into the last four."},
    {NULL, NULL, 0, NULL}};
static PyGetSetDef model_fields[] = {{"cpu", model_cpu, NULL, "The path that it runs on.", NULL}, {NULL, NULL, NULL, NULL, NULL}};
static PyType_Slot model_slots[] = {
    {Py_tp_new, model_new}, {Py_tp_dealloc, model_free}, {Py_tp_methods, model_methods}, {Py_tp_getset, model_fields},
    {Py_tp_doc, "A version's learned parts, ready to code."}, {0, NULL}};
static PyType_Spec model_spec = {"nbmf._core.Model", sizeof(ModelObject), 0, Py_TPFLAGS_DEFAULT, model_slots};

static PyObject *stream_size(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *stream;
    int sizing;
    if (!PyArg_ParseTuple(args, "Oi", &stream, &sizing) || !valid_sizing(sizing)) return NULL;
    if (sizing == SIZE_TOLD) return PyErr_Format(PyExc_ValueError, "the stream does not tell a size");
    Held held = {0};
    Py_ssize_t length;
    const uint8_t *bytes = nbmf_array_of(&held, stream, "stream", 'B', -1, &length, 0);
    PyObject *result = NULL;
    if (bytes) {
        uint64_t least, most;
        nbmf_chosen_path()->stream_size(bytes, (size_t)length, sizing, &least, &most);
        result = Py_BuildValue("(KK)", (unsigned long long)least, (unsigned long long)most);
    }
    nbmf_release(&held);
    return result;
}

static PyMethodDef functions[] = {
    {"paths", paths, METH_NOARGS, "Names of the kinds of processor that this one can run code for, best first."},
    {"use", use, METH_O, "use(name): what networks made from now on run on; None: the best. Returns its name."},
    {"products", products, METH_VARARGS, "products(matrix, rows, columns, x, vectors, out): exact, out [vectors, rows filled up]."},
    {"range_encode", range_encode, METH_O, "range_encode(intervals [N, 3]): the stream."},
    {"range_decode", range_decode, METH_VARARGS, "range_decode(stream, intervals, targets): where it points in each total."},
    {"stream_size", stream_size, METH_VARARGS, "stream_size(stream, sizing): the least and the most bytes of its record."},
    {"encode_floats", nbmf_encode_floats, METH_VARARGS,
     "encode_floats(numbers, item_bytes, exponent_bits, predictor): (low bits that are zero, largest exponent, stream)."},
    {"decode_floats", nbmf_decode_floats, METH_VARARGS,
     "decode_floats(stream, item_bytes, exponent_bits, predictor, dropped, largest, numbers): into the last."},
    {"cpu", cpu, METH_NOARGS, "What networks made now run on."},
    {"find_repeats", nbmf_find_repeats, METH_VARARGS, "find_repeats(data, least): uint32 [repeats, 3]: kept, length, distance."},
    {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "nbmf._core", "The codec's compiled core: networks of integers, counts, adaptation, range coder.", -1,
    functions, NULL, NULL, NULL, NULL};

static int add_type(PyObject *module, PyType_Spec *spec, const char *name, PyTypeObject **to) {
    *to = (PyTypeObject *)PyType_FromSpec(spec);
    return *to ? PyModule_AddObjectRef(module, name, (PyObject *)*to) : -1;
}

PyMODINIT_FUNC PyInit__core(void) {
    static const struct {
        const char *name;
        long value;
    } numbers[] = {
        {"AT_ONCE", AT_ONCE}, {"ORDERS", ORDERS}, {"EXPERTS", EXPERTS}, {"MATCH_LENGTHS", MATCH_LENGTHS},
        {"CONFIDENCES", CONFIDENCES}, {"COPY_BUCKETS", COPY_BUCKETS}, {"GATES", GATES}, {"COPY_GATES", COPY_GATES},
        {"CONTEXTS", CONTEXTS}, {"STEPS", STEPS}, {"SCALE", SCALE}, {"EXTRA_TOKENS", EXTRA_TOKENS}, {"TAPS", TAPS},
        {"INT8_LIMIT", INT8_LIMIT}, {"RESIDUAL_LIMIT", RESIDUAL_LIMIT}, {"FREQUENCY_PEAK", FREQUENCY_PEAK},
        {"SIZE_TOLD", SIZE_TOLD}, {"SIZE_IN_STREAM", SIZE_IN_STREAM}, {"SIZE_AT_END", SIZE_AT_END},
        {"ATTENTION_PEAK", ATTENTION_PEAK},
    };
    const char *wanted = getenv("NBMF_CPU");
    if (choose(wanted && *wanted ? wanted : NULL)) return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (!module) return NULL;
    int failed = add_type(module, &network_spec, "Network", &network_type) ||
                 add_type(module, &counts_spec, "Counts", &counts_type) ||
                 add_type(module, &model_spec, "Model", &model_type) ||
                 add_type(module, &decoder_spec, "Decoder", &decoder_type) ||
                 add_type(module, &nbmf_tokenizer_spec, "Tokenizer", &tokenizer_type) || nbmf_add_vectors(module);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers && !failed; i++)
        failed = PyModule_AddIntConstant(module, numbers[i].name, numbers[i].value);
    if (failed) Py_CLEAR(module);
    return module;
}
