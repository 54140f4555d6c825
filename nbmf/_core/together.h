/* Records that several threads want decoded, side by side in one loop. */
#ifndef NBMF_TOGETHER_H
#define NBMF_TOGETHER_H

#include "parts.h"

enum { MOST_LANES = 64 };

typedef struct Together Together;

/* NULL if there is no memory. */
Together *nbmf_new_together(void);
void nbmf_free_together(Together *together, const Path *path);

/* Decodes records, none of them empty, in one of `lanes` loops, the one that has the fewest, up to `most` of all side by side.
 * Returns when these are done, and what is wrong with the version, if anything. Without the GIL. */
int nbmf_decode_together(Together *together, int lanes, int most, const Path *path, const Model *model, Record *records,
                         size_t count);

#endif
