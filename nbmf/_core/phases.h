/* Parts of the network again and again, for measuring them: `nbmf bench phases`. */
#ifndef NBMF_PHASES_H
#define NBMF_PHASES_H

#include "record_loop.h"

/* Of all layers, as the names in nbmf/_core.pyi stand. The whole takes in `count` or more inputs, again and again: how much
 * it has to read depends on them. */
static void repeat_phase(const Model *model, Work *work, const int32_t *inputs, int64_t n_inputs, int phase, int count,
                         int64_t times) {
    const Network *network = model->network;
    for (int64_t time = 0; time < times; time++) {
        if (phase == 7) {
            for (int b = 0; b < count; b++) work->token_B[b] = inputs[(time * count + b) % n_inputs];
            next_frequencies(model, work, count);
        }
        if (phase == 6 && network->members.bytes)
            for (int b = 0; b < count; b++)
                member_frequencies(model, work, b, (int)((time + b) % (network->vocab.symbols - network->vocab.singles)));
        if (phase == 5) head(network, work, count);
        if (phase == 4) {
            for (int b = 0; b < count; b++) embed(network, work, b);
            multiply(&network->memory_in, work, count, work->memory_BM, work->memory_stride);
            add_to_residual(network, work, count, network->memory_in_scale_D);
        }
        if (phase == 3)
            for (int n = 0; n <= 2 * network->n_layers; n++)
                for (int b = 0; b < count; b++)
                    norm(network, work->x_BD + b * network->d_model, n, work->y_BD + b * work->y_stride);
        for (int layer = 0; layer < network->n_layers; layer++) {
            const int attends = network->layers[layer].kind == ATTENTION;
            if (phase == 0 && attends) attend(network, work, layer, count);
            if (phase == 1 && attends) attention_layer(network, work, layer, count);
            if (phase == 1 && !attends) convolution_layer(network, work, layer, count);
            if (phase == 2) feed_forward(network, work, layer, count);
        }
    }
}

#endif
