/* The paths that were compiled, best first, and the one that is used. */
#include "cpu.h"

extern const Path nbmf_path_plain;
#if defined(NBMF_X86)
extern const Path nbmf_path_avx512, nbmf_path_avxvnni, nbmf_path_avx2, nbmf_path_sse41;
#elif defined(NBMF_ARM)
extern const Path nbmf_path_neon_dot, nbmf_path_neon;
#endif

const Path *const nbmf_paths[] = {
#if defined(NBMF_X86)
    &nbmf_path_avx512, &nbmf_path_avxvnni, &nbmf_path_avx2, &nbmf_path_sse41,
#elif defined(NBMF_ARM)
    &nbmf_path_neon_dot, &nbmf_path_neon,
#endif
    &nbmf_path_plain, NULL,
};

static const Path *chosen;

const Path *nbmf_chosen_path(void) { return chosen; }

void nbmf_choose_path(const Path *path) { chosen = path; }
