/* nbmf._core.Tokenizer: a version's vocabulary. */
#include "parts.h"

#include <structmember.h>

#include <stdlib.h>
#include <string.h>

#include "bpe.h"

enum { MOST_TOKENS = 1 << 16, MOST_MERGES = 1 << 20 };

typedef struct {
    PyObject_HEAD
    Held held;
    Bpe bpe;
} TokenizerObject;

static int fill(Bpe *bpe, Held *held, PyObject *token_bytes, PyObject *token_begin, PyObject *pairs, PyObject *merged) {
    Py_ssize_t begins, n_bytes, merges;
    const int32_t *pair_R2, *merged_R;
    if (!(bpe->begin_V = nbmf_array_of(held, token_begin, "token_begin_V", 'i', -1, &begins, 0)) ||
        !(bpe->token_bytes = nbmf_array_of(held, token_bytes, "token_bytes", 'B', -1, &n_bytes, 0)) ||
        !(merged_R = nbmf_array_of(held, merged, "merged_R", 'i', -1, &merges, 0)) ||
        !(pair_R2 = nbmf_array_of(held, pairs, "pair_R2", 'i', 2 * merges, NULL, 0)))
        return -1;
    const char *problem = begins < 2 || begins > MOST_TOKENS + 1 ? "not 1 to 65,536 tokens" : NULL;
    if (!problem && (bpe->begin_V[0] != 0 || bpe->begin_V[begins - 1] != n_bytes)) problem = "tokens that are not all bytes";
    for (Py_ssize_t token = 1; !problem && token < begins; token++)
        if (bpe->begin_V[token] <= bpe->begin_V[token - 1]) problem = "a token of no bytes";
    if (!problem && merges > MOST_MERGES) problem = "too many merges";
    for (Py_ssize_t i = 0; !problem && i < 3 * merges; i++) {
        const int32_t token = i < merges ? merged_R[i] : pair_R2[i - merges];
        if (token < 0 || token >= begins - 1) problem = "a merge of what is no token";
    }
    if (!problem) {
        bpe->tokens = (int)(begins - 1);
        bpe->merges = (int)merges;
        if (!(bpe->merge_M = nbmf_own(held, (size_t)bpe->merges * sizeof *bpe->merge_M)) ||
            !(bpe->merged_R = nbmf_own(held, (size_t)bpe->merges * sizeof *bpe->merged_R)) ||
            !(bpe->first_V = nbmf_own(held, (size_t)begins * sizeof *bpe->first_V)))
            return -1;
        for (int32_t rank = 0; rank < bpe->merges; rank++)
            bpe->merge_M[rank] = (Merge){(uint16_t)pair_R2[2 * rank], (uint16_t)pair_R2[2 * rank + 1],
                                         (uint16_t)merged_R[rank], rank};
        problem = nbmf_bpe_prepare(bpe);
    }
    if (problem) PyErr_Format(PyExc_ValueError, "no vocabulary: %s", problem);
    return problem ? -1 : 0;
}

static PyObject *tokenizer_new(PyTypeObject *type, PyObject *args, PyObject *named) {
    PyObject *token_bytes, *token_begin, *pairs, *merged;
    static char *names[] = {"token_bytes", "token_begin_V", "pair_R2", "merged_R", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, named, "OOOO", names, &token_bytes, &token_begin, &pairs, &merged)) return NULL;
    TokenizerObject *self = (TokenizerObject *)nbmf_new_object(type);
    if (self && fill(&self->bpe, &self->held, token_bytes, token_begin, pairs, merged)) Py_CLEAR(self);
    return (PyObject *)self;
}

static void tokenizer_free(PyObject *self) {
    nbmf_release(&((TokenizerObject *)self)->held);
    nbmf_free_object(self);
}

static PyObject *tokenizer_encode(PyObject *object, PyObject *data) {
    const Bpe *bpe = &((TokenizerObject *)object)->bpe;
    Held held = {0};
    Py_ssize_t n;
    PyObject *result = NULL;
    const uint8_t *bytes = nbmf_array_of(&held, data, "data", 'B', -1, &n, 0);
    int32_t *tokens = bytes ? malloc(((size_t)n + 1) * sizeof *tokens) : NULL;
    if (tokens) {
        int64_t count;
        Py_BEGIN_ALLOW_THREADS
        count = nbmf_bpe_encode(bpe, bytes, (size_t)n, tokens);
        Py_END_ALLOW_THREADS
        result = count < 0 ? PyErr_NoMemory()
                           : PyBytes_FromStringAndSize((char *)tokens, (Py_ssize_t)((size_t)count * sizeof *tokens));
        free(tokens);
    } else if (bytes) PyErr_NoMemory();
    nbmf_release(&held);
    return result;
}

/* Tokens of a record, and how many bytes they stand for; NULL with an exception set. */
static const int32_t *tokens_and_bytes(const Bpe *bpe, Held *held, PyObject *array, Py_ssize_t *count, Py_ssize_t *n_bytes) {
    const int32_t *tokens_T = nbmf_array_of(held, array, "tokens", 'i', -1, count, 0);
    *n_bytes = 0;
    for (Py_ssize_t i = 0; tokens_T && i < *count; i++) {
        if (tokens_T[i] < 0 || tokens_T[i] >= bpe->tokens) {
            PyErr_Format(PyExc_ValueError, "%d is no token", (int)tokens_T[i]);
            return NULL;
        }
        const Py_ssize_t size = bpe->begin_V[tokens_T[i] + 1] - bpe->begin_V[tokens_T[i]];
        if (size > PY_SSIZE_T_MAX - *n_bytes) return (const int32_t *)PyErr_NoMemory();
        *n_bytes += size;
    }
    return tokens_T;
}

static PyObject *tokenizer_decode(PyObject *object, PyObject *array) {
    const Bpe *bpe = &((TokenizerObject *)object)->bpe;
    Held held = {0};
    Py_ssize_t count, n_bytes;
    const int32_t *tokens_T = tokens_and_bytes(bpe, &held, array, &count, &n_bytes);
    PyObject *result = tokens_T ? PyBytes_FromStringAndSize(NULL, n_bytes) : NULL;
    if (result) {
        char *to = PyBytes_AsString(result);
        for (Py_ssize_t i = 0; i < count; i++) {
            const int32_t begin = bpe->begin_V[tokens_T[i]], size = bpe->begin_V[tokens_T[i] + 1] - begin;
            memcpy(to, bpe->token_bytes + begin, (size_t)size);
            to += size;
        }
    }
    nbmf_release(&held);
    return result;
}

static PyObject *tokenizer_n_bytes(PyObject *object, PyObject *array) {
    Held held = {0};
    Py_ssize_t count, n_bytes;
    const int32_t *tokens_T = tokens_and_bytes(&((TokenizerObject *)object)->bpe, &held, array, &count, &n_bytes);
    nbmf_release(&held);
    return tokens_T ? PyLong_FromSsize_t(n_bytes) : NULL;
}

static PyMethodDef methods[] = {
    {"encode", tokenizer_encode, METH_O, "encode(data): its tokens, int32."},
    {"decode", tokenizer_decode, METH_O, "decode(tokens): their bytes."},
    {"n_bytes", tokenizer_n_bytes, METH_O, "n_bytes(tokens): how many bytes they stand for."},
    {NULL, NULL, 0, NULL}};
static PyMemberDef members[] = {{"vocab_size", T_INT, offsetof(TokenizerObject, bpe.tokens), READONLY, "Tokens."}, {NULL, 0, 0, 0, NULL}};
static PyType_Slot slots[] = {
    {Py_tp_new, tokenizer_new}, {Py_tp_dealloc, tokenizer_free}, {Py_tp_methods, methods}, {Py_tp_members, members},
    {Py_tp_doc, "A vocabulary: bytes to tokens and back."}, {0, NULL}};
PyType_Spec nbmf_tokenizer_spec = {"nbmf._core.Tokenizer", sizeof(TokenizerObject), 0, Py_TPFLAGS_DEFAULT, slots};
