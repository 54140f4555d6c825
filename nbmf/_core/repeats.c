/* Stretches of a record that have stood before: nbmf.coders.windows.repeats.find. */
#include <stdlib.h>
#include <string.h>

#include "parts.h"

enum {
    STRETCH = 32, /* bytes that are hashed */
    SAMPLED = 8,  /* one hash in so many, chosen by its value, is looked up: a repeat has the same chosen ones */
    MOST_PROBES = 256
};

#define BASE 0x9E3779B97F4A7C15u

/* Of the STRETCH bytes from each position, in their order: a polynomial, its halves put together, then mixed. */
typedef struct {
    const uint8_t *data;
    size_t at;
    uint64_t polynomial, highest; /* the power of BASE that leaves */
} Rolling;

static uint64_t mixed(uint64_t hash) {
    hash ^= hash >> 29;
    hash *= 0xBF58476D1CE4E5B9u;
    return hash ^ hash >> 32;
}

static Rolling start_rolling(const uint8_t *data) {
    Rolling rolling = {.data = data, .highest = 1};
    for (int i = 0; i < STRETCH; i++) rolling.polynomial = rolling.polynomial * BASE + data[i];
    for (int i = 1; i < STRETCH; i++) rolling.highest *= BASE;
    return rolling;
}

static void roll(Rolling *rolling) {
    const uint8_t *out = rolling->data + rolling->at++;
    rolling->polynomial = (rolling->polynomial - out[0] * rolling->highest) * BASE + out[STRETCH];
}

/* Where the stretch at `at` stood last, which is now `at`; `at` where it is new. `seen` has positions, plus 1, by hashes. */
static size_t seen_before(uint32_t *seen, size_t mask, uint64_t hash, const uint8_t *data, size_t at) {
    for (size_t place = hash / SAMPLED & mask, probes = 0; probes < MOST_PROBES; place = (place + 1) & mask, probes++) {
        const size_t before = seen[place] ? seen[place] - 1 : at;
        if (memcmp(data + before, data + at, STRETCH)) continue;
        seen[place] = (uint32_t)at + 1;
        return before;
    }
    return at;
}

typedef struct {
    uint32_t kept, length, distance;
} Repeat;

/* Of at least `least` bytes, STRETCH or more; of 2 * STRETCH bytes of data or more. NULL where there is no memory. */
static Repeat *find(const uint8_t *data, size_t n, size_t least, size_t *count) {
    const size_t positions = n - STRETCH + 1;
    size_t sampled = 0, size = 2, room = 64, end = 0;
    Rolling rolling = start_rolling(data);
    for (size_t at = 0; at < positions; at++) {
        sampled += mixed(rolling.polynomial) % SAMPLED == 0;
        if (at + 1 < positions) roll(&rolling);
    }
    /* Where there are far more than one in SAMPLED, they are the same ones again and again. */
    while (size < 2 * sampled && size < 4 * positions / SAMPLED) size *= 2;
    uint32_t *seen = calloc(size, sizeof *seen);
    Repeat *found = malloc(room * sizeof *found);
    rolling = start_rolling(data);
    *count = 0;
    for (size_t at = 0; seen && found && at < positions; at++) {
        const uint64_t hash = mixed(rolling.polynomial);
        if (at + 1 < positions) roll(&rolling);
        if (hash % SAMPLED) continue;
        const size_t source = seen_before(seen, size - 1, hash, data, at);
        if (source == at || at < end) continue;
        size_t length = STRETCH, before = 0;
        while (at + length < n && data[at + length] == data[source + length]) length++;
        while (before < at - end && before < source && data[at - before - 1] == data[source - before - 1]) before++;
        if (before + length < least) continue;
        if (*count == room) {
            Repeat *more = realloc(found, 2 * room * sizeof *found);
            if (!more) free(found);
            if (!(found = more)) break;
            room *= 2;
        }
        found[(*count)++] = (Repeat){(uint32_t)(at - before - end), (uint32_t)(before + length), (uint32_t)(at - source)};
        end = at + length;
    }
    if (!seen) free(found);
    free(seen);
    return seen ? found : NULL;
}

PyObject *nbmf_find_repeats(PyObject *module, PyObject *args) {
    (void)module;
    PyObject *data, *result = NULL;
    Py_ssize_t least, n;
    if (!PyArg_ParseTuple(args, "On", &data, &least)) return NULL;
    if (least < STRETCH) return PyErr_Format(PyExc_ValueError, "repeats of less than %d bytes", STRETCH);
    Held held = {0};
    const uint8_t *bytes = nbmf_array_of(&held, data, "data", 'B', -1, &n, 0);
    if (bytes && (uint64_t)n > UINT32_MAX) PyErr_SetString(PyExc_ValueError, "more than 4 GiB");
    else if (bytes && n / 2 < least) result = PyBytes_FromStringAndSize("", 0);
    else if (bytes) {
        Repeat *found;
        size_t count;
        Py_BEGIN_ALLOW_THREADS
        found = find(bytes, (size_t)n, (size_t)least, &count);
        Py_END_ALLOW_THREADS
        result = found ? PyBytes_FromStringAndSize((char *)found, (Py_ssize_t)(count * sizeof *found)) : PyErr_NoMemory();
        free(found);
    }
    nbmf_release(&held);
    return result;
}
