#include "bpe.h"

#include <stdlib.h>
#include <string.h>

#include "characters.h"

/* ---- characters ---- */

/* Bytes of the UTF-8 character at the beginning of `text`; 0 where there is none. */
static size_t character_bytes(const uint8_t *text, size_t left) {
    const uint8_t first = text[0];
    if (first < 0x80) return 1;
    const size_t size = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    if (!size || size > left) return 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xC0) != 0x80) return 0;
    /* too long, a surrogate, beyond the last */
    if ((first == 0xE0 && text[1] < 0xA0) || (first == 0xED && text[1] >= 0xA0) || (first == 0xF0 && text[1] < 0x90) ||
        (first == 0xF4 && text[1] >= 0x90))
        return 0;
    return size;
}

/* The kind of the character at `at`, which is moved behind it; of valid UTF-8. */
static int next_kind(const uint8_t *text, size_t *at) {
    const uint8_t *c = text + *at;
    if (c[0] < 0x80) {
        *at += 1;
        return kind_of_character(c[0]);
    }
    if (c[0] < 0xE0) {
        *at += 2;
        return kind_of_character((c[0] & 31u) << 6 | (c[1] & 63u));
    }
    if (c[0] < 0xF0) {
        *at += 3;
        return kind_of_character((c[0] & 15u) << 12 | (c[1] & 63u) << 6 | (c[2] & 63u));
    }
    *at += 4;
    return kind_of_character((c[0] & 7u) << 18 | (c[1] & 63u) << 12 | (c[2] & 63u) << 6 | (c[3] & 63u));
}

/* Where up to `most` characters of a kind end. */
static size_t end_of_kind(const uint8_t *text, size_t at, size_t end, int kind, size_t most) {
    for (size_t next = at; at < end && most; at = next, most--)
        if (next_kind(text, &next) != kind) return at;
    return at;
}

static int is_letter(uint8_t byte) { return (byte | 32) >= 'a' && (byte | 32) <= 'z'; }
static int starts_name(uint8_t byte) { return is_letter(byte) || byte == '_' || byte == '$' || byte == '@'; }
static int is_of_name(uint8_t byte) { return starts_name(byte) || (byte >= '0' && byte <= '9') || byte == '.' || byte == '-'; }

static int is_of_key(uint8_t byte) {
    switch (byte) {
    case '[': case ']': case '{': case '}': case '"': case ',': case ':': return 1;
    default: return 0;
    }
}

static int is_of_message(uint8_t byte) { return is_of_key(byte) || byte == '.' || byte == '?' || byte == '!'; }

static size_t end_of_bytes(const uint8_t *text, size_t at, size_t end, int (*is_one)(uint8_t)) {
    while (at < end && is_one(text[at])) at++;
    return at;
}

/* Behind `word` at `at`, or 0. */
static size_t behind(const uint8_t *text, size_t at, size_t end, const char *word) {
    const size_t size = strlen(word);
    return end - at >= size && memcmp(text + at, word, size) == 0 ? at + size : 0;
}

/* ---- pieces ----
 *
 * nbmf.neural.tokenizer.PATTERN, by hand: merges do not cross the borders between its matches. Its alternatives are tried in
 * their order; none needs more than one look at a character, as what ends a run of each can stand nowhere inside it.
 */

/* Behind the name and the colon of a JSON key whose quotation mark is before `at`, or 0. */
static size_t behind_name(const uint8_t *text, size_t at, size_t end) {
    if (at == end || !starts_name(text[at])) return 0;
    return behind(text, end_of_bytes(text, at, end, is_of_name), end, "\":");
}

/* [\]\[{}",:.?!]*"role":"(?:user|assistant|system|tool)","content":" */
static size_t behind_message(const uint8_t *text, size_t at, size_t end) {
    static const char *const roles[] = {"user", "assistant", "system", "tool"};
    const size_t quoted = end_of_bytes(text, at, end, is_of_message);
    const size_t name = quoted > at && text[quoted - 1] == '"' ? behind(text, quoted, end, "role\":\"") : 0;
    for (size_t i = 0; name && i < sizeof roles / sizeof *roles; i++) {
        const size_t role = behind(text, name, end, roles[i]);
        if (role) return behind(text, role, end, "\",\"content\":\"");
    }
    return 0;
}

/* [\]\[{}",:]*"[A-Za-z_$@][A-Za-z0-9_.$@-]*":[\[{]*"? */
static size_t behind_key(const uint8_t *text, size_t at, size_t end) {
    const size_t quoted = end_of_bytes(text, at, end, is_of_key);
    size_t key = quoted > at && text[quoted - 1] == '"' ? behind_name(text, quoted, end) : 0;
    if (!key) return 0;
    while (key < end && (text[key] == '[' || text[key] == '{')) key++;
    return key < end && text[key] == '"' ? key + 1 : key;
}

/* '(?:[sdmt]|ll|ve|re) */
static size_t behind_contraction(const uint8_t *text, size_t at, size_t end) {
    static const char *const endings[] = {"'s", "'d", "'m", "'t", "'ll", "'ve", "'re"};
    size_t found = 0;
    for (size_t i = 0; !found && text[at] == '\'' && i < sizeof endings / sizeof *endings; i++)
        found = behind(text, at, end, endings[i]);
    return found;
}

/* Of marks from `at` on: up to where a key begins, but for the first of them, or all. */
static size_t behind_marks(const uint8_t *text, size_t at, size_t end) {
    const size_t marks = end_of_kind(text, at, end, MARK, SIZE_MAX);
    for (size_t run = at; run < marks;) {
        size_t opening = run++;
        if (!is_of_key(text[opening])) continue;
        run = end_of_bytes(text, run, marks, is_of_key);
        if (opening == at) opening++;
        if (opening < run && text[run - 1] == '"' && behind_name(text, run, end)) return opening;
    }
    return marks;
}

/* \s+(?!\S)|\s+: spaces, but for the last one if something follows more than one. */
static size_t behind_spaces(const uint8_t *text, size_t at, size_t end) {
    size_t last = at, next = at;
    for (size_t begin = at; begin < end; begin = next) {
        if (next_kind(text, &next) != SPACE) return last > at ? last : begin;
        last = begin;
    }
    return end;
}

/* Where the piece that begins at `at` ends. */
static size_t end_of_piece(const uint8_t *text, size_t at, size_t end) {
    size_t found;
    if ((found = behind_message(text, at, end)) || (found = behind_key(text, at, end)) ||
        (found = behind_contraction(text, at, end)))
        return found;
    const size_t begin = at + (text[at] == ' ' && end - at > 1);
    size_t next = begin;
    const int kind = next_kind(text, &next);
    if (kind == LETTER) return end_of_kind(text, next, end, LETTER, SIZE_MAX);
    if (kind == MARK) return behind_marks(text, begin, end);
    if (kind == NUMBER && begin == at) return end_of_kind(text, next, end, NUMBER, 1);
    return behind_spaces(text, at, end);
}

/* ---- merges ---- */

typedef struct {
    int32_t before, next; /* -1: none; a symbol that was merged into another has NONE */
    uint16_t token;
} Symbol;

enum { NONE = -2 };

/* Work space for pieces of up to `room` bytes. */
typedef struct {
    size_t room, waiting;
    Symbol *symbols;
    uint64_t *heap; /* rank << 32 | symbol, the least first; two for each symbol at most, as a merge takes one away */
} Space;

static int make_room(Space *space, size_t n) {
    if (n <= space->room) return 0;
    const size_t room = n > 2 * space->room ? n : 2 * space->room;
    free(space->symbols);
    free(space->heap);
    space->symbols = malloc(room * sizeof *space->symbols);
    space->heap = malloc(2 * room * sizeof *space->heap);
    space->room = space->symbols && space->heap ? room : 0;
    return space->room ? 0 : -1;
}

static void push(Space *space, uint64_t entry) {
    size_t at = space->waiting++;
    for (; at > 0 && space->heap[(at - 1) / 2] > entry; at = (at - 1) / 2) space->heap[at] = space->heap[(at - 1) / 2];
    space->heap[at] = entry;
}

static uint64_t pop(Space *space) {
    uint64_t *heap = space->heap, least = heap[0], entry = heap[--space->waiting];
    size_t at = 0, child;
    for (; (child = 2 * at + 1) < space->waiting; at = child) {
        if (child + 1 < space->waiting && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= entry) break;
        heap[at] = heap[child];
    }
    heap[at] = entry;
    return least;
}

static const Merge *merge_of(const Bpe *bpe, int left, int right) {
    int low = bpe->first_V[left], high = bpe->first_V[left + 1];
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (bpe->merge_M[middle].right < right) low = middle + 1;
        else high = middle;
    }
    return low < bpe->first_V[left + 1] && bpe->merge_M[low].right == right ? &bpe->merge_M[low] : NULL;
}

static void consider(const Bpe *bpe, Space *space, int32_t at) {
    const Symbol *symbol = &space->symbols[at];
    const Merge *merge = merge_of(bpe, symbol->token, space->symbols[symbol->next].token);
    if (merge) push(space, (uint64_t)merge->rank << 32 | (uint32_t)at);
}

/* The tokens of a piece of at least one byte; returns where they end. In time n log n. */
static int32_t *encode_piece(const Bpe *bpe, Space *space, const uint8_t *piece, int32_t n, int32_t *out) {
    Symbol *symbols = space->symbols;
    for (int32_t i = 0; i < n; i++) symbols[i] = (Symbol){i - 1, i + 1 < n ? i + 1 : -1, bpe->of_byte[piece[i]]};
    space->waiting = 0;
    for (int32_t i = 0; i + 1 < n; i++) consider(bpe, space, i);
    while (space->waiting) {
        const uint64_t entry = pop(space);
        const int32_t at = (int32_t)(uint32_t)entry;
        Symbol *symbol = &symbols[at];
        if (symbol->next < 0) continue;
        /* What stood there may have been merged with others since. */
        const Merge *merge = merge_of(bpe, symbol->token, symbols[symbol->next].token);
        if (!merge || merge->merged != bpe->merged_R[entry >> 32]) continue;
        Symbol *other = &symbols[symbol->next];
        symbol->token = merge->merged;
        symbol->next = other->next;
        other->next = NONE;
        if (symbol->next >= 0) symbols[symbol->next].before = at;
        if (symbol->before >= 0) consider(bpe, space, symbol->before);
        if (symbol->next >= 0) consider(bpe, space, at);
    }
    for (int32_t at = 0; at >= 0; at = symbols[at].next) *out++ = symbols[at].token;
    return out;
}

/* ---- records ---- */

enum { MOST_MARKS = 64, MOST_OF_NAME = 1024 };

/* Behind the mark at `at`, or `at` if it is none. What only Python takes for whitespace is none. */
static size_t behind_mark(const uint8_t *text, size_t at, size_t end) {
    size_t next = at;
    return at < end && !(text[at] >= 0x1C && text[at] <= 0x1F) && next_kind(text, &next) == MARK ? next : at;
}

/* Behind the first run of so many marks or quoted name of so many characters, or the end. Texts are cut there, as the pattern
 * gave up on them, or took cubic time, where it was a regular expression. */
static size_t end_of_part(const uint8_t *text, size_t at, size_t end) {
    int marks = 0; /* that follow */
    while (at < end) {
        for (size_t mark = at, next; !marks || mark > at; mark = next) {
            if ((next = behind_mark(text, mark, end)) == mark) break;
            if (++marks == MOST_MARKS) return next;
        }
        if (text[at] == '"' && at + 1 < end && starts_name(text[at + 1]) && end - at > MOST_OF_NAME) {
            const size_t most = at + 1 + MOST_OF_NAME;
            if (end_of_bytes(text, at + 1, most, is_of_name) == most) return most;
        }
        next_kind(text, &at);
        if (marks) marks--;
    }
    return end;
}

int64_t nbmf_bpe_encode(const Bpe *bpe, const uint8_t *data, size_t n, int32_t *out) {
    Space space = {0};
    int32_t *to = out;
    for (size_t at = 0; at < n;) {
        size_t text = at, size;
        while (text < n && (size = character_bytes(data + text, n - text))) text += size;
        while (at < text) {
            const size_t part = end_of_part(data, at, text);
            while (at < part) {
                const size_t end = end_of_piece(data, at, part);
                if (end - at >= INT32_MAX || make_room(&space, end - at)) {
                    to = NULL;
                    goto done;
                }
                to = encode_piece(bpe, &space, data + at, (int32_t)(end - at), to);
                at = end;
            }
        }
        if (at < n) *to++ = bpe->of_byte[data[at++]]; /* no text */
    }
done:
    free(space.symbols);
    free(space.heap);
    return to ? to - out : -1;
}

/* ---- vocabularies ---- */

static int in_order(const void *one, const void *other) {
    const Merge *a = one, *b = other;
    if (a->left != b->left) return a->left < b->left ? -1 : 1;
    return a->right < b->right ? -1 : a->right > b->right;
}

static size_t size_of_token(const Bpe *bpe, int token) { return (size_t)(bpe->begin_V[token + 1] - bpe->begin_V[token]); }

const char *nbmf_bpe_prepare(Bpe *bpe) {
    int known[256] = {0};
    for (int token = 0; token < bpe->tokens; token++)
        if (size_of_token(bpe, token) == 1) {
            const uint8_t byte = bpe->token_bytes[bpe->begin_V[token]];
            bpe->of_byte[byte] = (uint16_t)token;
            if (known[byte]++) return "two tokens for one byte";
        }
    for (int byte = 0; byte < 256; byte++)
        if (!known[byte]) return "a byte without a token";
    for (int i = 0; i < bpe->merges; i++) {
        const Merge *merge = &bpe->merge_M[i];
        const size_t left = size_of_token(bpe, merge->left), right = size_of_token(bpe, merge->right);
        const uint8_t *merged = bpe->token_bytes + bpe->begin_V[merge->merged];
        if (size_of_token(bpe, merge->merged) != left + right ||
            memcmp(merged, bpe->token_bytes + bpe->begin_V[merge->left], left) ||
            memcmp(merged + left, bpe->token_bytes + bpe->begin_V[merge->right], right))
            return "a merge that is not the two tokens";
        bpe->merged_R[i] = merge->merged;
    }
    qsort(bpe->merge_M, (size_t)bpe->merges, sizeof *bpe->merge_M, in_order);
    for (int i = 1; i < bpe->merges; i++)
        if (in_order(&bpe->merge_M[i - 1], &bpe->merge_M[i]) == 0) return "two merges of the same tokens";
    for (int token = 0, i = 0; token <= bpe->tokens; token++) {
        while (i < bpe->merges && bpe->merge_M[i].left < token) i++;
        bpe->first_V[token] = i;
    }
    return NULL;
}
