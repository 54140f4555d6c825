/* Byte-level BPE (Sennrich et al. 2016, on bytes as in GPT-2): a record's bytes to tokens. */
#ifndef NBMF_BPE_H
#define NBMF_BPE_H

#include <stddef.h>
#include <stdint.h>

/* Two tokens that stand side by side become one; those of the lowest rank first. */
typedef struct {
    uint16_t left, right, merged;
    int32_t rank;
} Merge;

typedef struct {
    int tokens;
    const uint8_t *token_bytes;
    const int32_t *begin_V; /* [tokens + 1] */
    int merges;
    Merge *merge_M;      /* by the left token, then the right one */
    int32_t *first_V;    /* [tokens + 1] of the merges of each left token */
    uint16_t *merged_R;  /* by rank */
    uint16_t of_byte[256];
} Bpe;

/* From token_bytes, begin_V, merge_M (by rank) and memory for the rest. Returns what is wrong with them, or NULL; then the
 * bytes of what `nbmf_bpe_encode` gives are always those of its input. */
const char *nbmf_bpe_prepare(Bpe *bpe);

/* Tokens into out, which has room for `n`; returns how many, or -1 where there is no memory. */
int64_t nbmf_bpe_encode(const Bpe *bpe, const uint8_t *data, size_t n, int32_t *out);

#endif
