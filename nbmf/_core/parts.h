/* A codec version's parts from arrays that come from elsewhere: everything that the paths rely on is checked here. */
#ifndef NBMF_PARTS_H
#define NBMF_PARTS_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "core.h"

/* Arrays that a part refers to, and memory of its own. */
typedef struct {
    Py_buffer *views;
    size_t n_views;
    void **owned;
    size_t n_owned;
} Held;

void nbmf_release(Held *held);

/* Memory that `held` frees; zeros. NULL with an exception set if there is none. */
void *nbmf_own(Held *held, size_t bytes);

/* The array `name` of a dictionary, which must hold `count` numbers of the type ('b' int8, 'B' uint8, 'h' int16, 'H' uint16,
 * 'i' int32, 'q' int64, 'f', 'd'); NULL with ValueError set if it is another. A count of -1 takes any, and returns it in
 * `found`. */
const void *nbmf_array(Held *held, PyObject *arrays, const char *name, char type, Py_ssize_t count, Py_ssize_t *found);

/* Like nbmf_array, of an object. `name` is for the error. */
const void *nbmf_array_of(Held *held, PyObject *array, const char *name, char type, Py_ssize_t count, Py_ssize_t *found,
                          int writable);

PyObject *nbmf_new_object(PyTypeObject *type);
void nbmf_free_object(PyObject *self);

extern PyType_Spec nbmf_tokenizer_spec;
PyObject *nbmf_find_repeats(PyObject *module, PyObject *args);

int nbmf_fill_vocabulary(Vocabulary *vocab, int tokens, int clusters, int cluster_size);
int nbmf_fill_network(Network *network, Held *held, const Path *path, PyObject *sizes, PyObject *arrays, PyObject *layers);
int nbmf_fill_counts(Counts *counts, Held *held, PyObject *arrays, int vocab, int clusters, int cluster_size);
int nbmf_fill_constants(Constants *constants, PyObject *numbers);

/* Functions of floats.c. */
PyObject *nbmf_encode_floats(PyObject *module, PyObject *args);
PyObject *nbmf_decode_floats(PyObject *module, PyObject *args);

/* Adds the types of vectors.c. */
int nbmf_add_vectors(PyObject *module);

#endif
