/* One path: all that is compiled for a kind of processor. Included by path_*.c, which says which it is. */
#include "fitting.h"
#include "phases.h"
#include "vectors.h"

#define JOINED(a, b) a##b
#define PATH_NAMED(name) JOINED(nbmf_path_, name)
#define QUOTED(name) #name
#define AS_TEXT(name) QUOTED(name)

extern const Path PATH_NAMED(PATH);
const Path PATH_NAMED(PATH) = {
    .name = AS_TEXT(PATH),
    .runs_here = runs_here,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .pack_columns = pack_columns,
    .new_work = new_work,
    .free_work = free_work,
    .encode_predicted = encode_predicted,
    .decode = decode,
    .decode_tokens = decode_tokens,
    .start_decoding = start_decoding,
    .decode_symbol = decode_symbol,
    .decode_member = decode_member,
    .start_record = start_record,
    .prime = prime,
    .next_frequencies = next_frequencies,
    .next_distances = next_distances,
    .member_distances = member_distances,
    .frequencies_of = frequencies_of,
    .tokens_to_copy = tokens_to_copy,
    .record_bits = record_bits,
    .counts_shares = counts_shares,
    .predict = predictions,
    .repeat_phase = repeat_phase,
    .products = products,
    .key_products = key_products,
    .sparse_products = sparse_products,
    .range_encode = range_encode,
    .range_decode = range_decode,
    .stream_size = stream_size,
    .dot_product = dot_product,
    .analyse_vectors = analyse_vectors,
    .quantise_vector = quantise_vector,
    .encode_streams = encode_streams,
    .decode_vectors = decode_vectors,
    .vectors_back = vectors_back,
    .write_vector = write_vector,
};
