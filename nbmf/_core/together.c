/* Continuous batching (Yu et al. 2022, "Orca"): a record that ends leaves its slot to the next, whoever's that is, and its call
 * returns at once.
 *
 * No thread of its own: of the calls that wait for a loop one leads, and takes the records of all a token further at a time.
 * When its own are done it hands on to another (Hendler et al. 2010, "Flat combining").
 */
#include "together.h"

#include <stdlib.h>

enum { LEAST_ROOM = 256, MOST_KEPT_ROOM = 4096 };

/* The records of one thread. */
typedef struct Call {
    Record *records;
    size_t count, following; /* of them all, and of those that came into a slot */
    size_t left;             /* that have not ended */
    int problem;
    int leads;               /* why it was woken, if not as all are done */
    PyThread_type_lock wake; /* held until then */
    struct Call *next;
} Call;

/* A loop. */
typedef struct {
    PyThread_type_lock lock; /* of the three below: */
    int led;
    size_t held; /* records of calls that have not returned */
    Call *first, *last; /* that have records without a slot */
    /* the leader's: */
    Work *work; /* what a step needs; of a record's own memory and cache each slot has that of `own` */
    Slot slots[AT_ONCE];
    Call *calls[AT_ONCE];
    Work *own[AT_ONCE], *kept[AT_ONCE];
} Lane;

struct Together {
    PyThread_type_lock lock; /* of the choice of a lane */
    Lane *lanes[MOST_LANES];
};

static void lock(PyThread_type_lock which) {
    PyThread_acquire_lock(which, WAIT_LOCK);
}

static void free_lane(Lane *lane, const Path *path) {
    if (!lane) return;
    if (lane->lock) PyThread_free_lock(lane->lock);
    for (int i = 0; i < AT_ONCE; i++) path->free_work(lane->kept[i]);
    path->free_work(lane->work);
    free(lane);
}

Together *nbmf_new_together(void) {
    Together *together = calloc(1, sizeof *together);
    if (together && !(together->lock = PyThread_allocate_lock())) {
        free(together);
        return NULL;
    }
    return together;
}

void nbmf_free_together(Together *together, const Path *path) {
    if (!together) return;
    PyThread_free_lock(together->lock);
    for (int i = 0; i < MOST_LANES; i++) free_lane(together->lanes[i], path);
    free(together);
}

static Lane *new_lane(const Path *path, const Model *model) {
    Lane *lane = calloc(1, sizeof *lane);
    if (!lane) return NULL;
    lane->lock = PyThread_allocate_lock();
    lane->work = path->new_work(model, 1, AT_ONCE, 1, model->network != NULL);
    if (lane->lock && lane->work) return lane;
    free_lane(lane, path);
    return NULL;
}

/* The lane with the fewest records, which has `count` more then; NULL if there is no memory. */
static Lane *join_lane(Together *together, int lanes, const Path *path, const Model *model, size_t count) {
    Lane *chosen = NULL;
    size_t fewest = 0;
    lock(together->lock);
    for (int i = 0; i < lanes && i < MOST_LANES; i++) {
        Lane *lane = together->lanes[i];
        if (!lane && !(lane = together->lanes[i] = new_lane(path, model))) break;
        lock(lane->lock);
        const size_t held = lane->held;
        PyThread_release_lock(lane->lock);
        if (!chosen || held < fewest) chosen = lane, fewest = held;
        if (!held) break;
    }
    if (chosen) {
        lock(chosen->lock);
        chosen->held += count;
        PyThread_release_lock(chosen->lock);
    }
    PyThread_release_lock(together->lock);
    return chosen;
}

static int64_t room_for(const Model *model, const Record *record) {
    int64_t room = LEAST_ROOM;
    while (room < record->n_before + (int64_t)record->n_bytes) room *= 4;
    return model->primed + room;
}

static Work *borrow(Lane *lane, const Path *path, const Model *model, int64_t room) {
    for (int i = 0; i < AT_ONCE; i++) {
        Work *work = lane->kept[i];
        if (!work || work->n != room) continue;
        lane->kept[i] = NULL;
        return work;
    }
    return path->new_work(model, room, 1, 1, model->network != NULL);
}

static void give_back(Lane *lane, const Path *path, const Model *model, Work *work) {
    for (int i = 0; work && i < AT_ONCE && work->n <= model->primed + MOST_KEPT_ROOM; i++)
        if (!lane->kept[i]) {
            lane->kept[i] = work;
            return;
        }
    path->free_work(work);
}

/* A record of a call has ended; the call may be gone when this returns, unless it leads. */
static void end_record(Call *call, const Call *leader, int problem) {
    if (problem) call->problem = problem;
    if (--call->left == 0 && call != leader) PyThread_release_lock(call->wake);
}

static void append(Lane *lane, Call *call) {
    call->next = NULL;
    if (lane->last) lane->last->next = call;
    else lane->first = call;
    lane->last = call;
}

/* The next record that waits, of each call in turn: one with many lets others go between. */
static Record *next_record(Lane *lane, Call **of) {
    Record *record = NULL;
    lock(lane->lock);
    Call *call = *of = lane->first;
    if (call) {
        if (!(lane->first = call->next)) lane->last = NULL;
        record = &call->records[call->following++];
        if (call->following < call->count) append(lane, call);
    }
    PyThread_release_lock(lane->lock);
    return record;
}

/* Records that wait come into free slots, of which `most` are used. */
static void fill_slots(Lane *lane, int most, const Path *path, const Model *model, const Call *leader) {
    for (int slot = 0; slot < most; slot++) {
        while (!lane->slots[slot].record) {
            Call *call;
            Record *record = next_record(lane, &call);
            if (!record) return;
            Work *own = borrow(lane, path, model, room_for(model, record));
            if (!own) {
                end_record(call, leader, NO_MEMORY);
                continue;
            }
            lane->own[slot] = own;
            lane->calls[slot] = call;
            lane->work->records_S[slot] = own->records_S[0];
            if (model->network) lane->work->caches_S[slot] = own->caches_S[0];
            path->start_decoding(model, lane->work, slot, &lane->slots[slot], record);
        }
    }
}

/* Another call leads from now on, if any waits. */
static void hand_on(Lane *lane) {
    Call *next = NULL;
    for (int slot = 0; slot < AT_ONCE && !next; slot++)
        if (lane->slots[slot].record) next = lane->calls[slot];
    lock(lane->lock);
    if (!next) next = lane->first;
    lane->led = next != NULL;
    PyThread_release_lock(lane->lock);
    if (!next) return;
    next->leads = 1;
    PyThread_release_lock(next->wake);
}

/* Takes all records further until those of `leader` are done. */
static void lead(Lane *lane, int most, const Path *path, const Model *model, Call *leader) {
    Work *work = lane->work;
    while (leader->left) {
        fill_slots(lane, most, path, model, leader);
        int taken = 0;
        for (int slot = 0; slot < AT_ONCE; slot++)
            if (lane->slots[slot].record) work->slot_B[taken++] = slot;
        if (!taken) continue; /* there was no memory for any */
        path->decode_tokens(model, work, lane->slots, taken);
        for (int b = 0; b < taken; b++) {
            const int slot = work->slot_B[b];
            if (lane->slots[slot].record) continue;
            give_back(lane, path, model, lane->own[slot]);
            end_record(lane->calls[slot], leader, lane->slots[slot].problem);
        }
    }
    hand_on(lane);
}

int nbmf_decode_together(Together *together, int lanes, int most, const Path *path, const Model *model, Record *records,
                         size_t count) {
    Call call = {.records = records, .count = count, .left = count, .wake = PyThread_allocate_lock()};
    Lane *lane = call.wake ? join_lane(together, lanes, path, model, count) : NULL;
    if (lane) {
        lock(call.wake);
        lock(lane->lock);
        append(lane, &call);
        int leads = !lane->led;
        lane->led = 1;
        PyThread_release_lock(lane->lock);
        if (!leads) {
            lock(call.wake);
            leads = call.leads;
        }
        if (leads) lead(lane, most, path, model, &call);
        lock(lane->lock);
        lane->held -= count;
        PyThread_release_lock(lane->lock);
    } else call.problem = NO_MEMORY;
    if (call.wake) PyThread_free_lock(call.wake);
    return call.problem;
}
