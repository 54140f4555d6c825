"""A few steps of training in this process, without Ray."""

import torch

from train_app.network.batches import StreamBatches
from train_app.network.schedule import make_optimisers


def train(model, stream, settings, steps, loss=lambda model, batch: model.loss(batch)):
    """Losses in nats before each step; the model is then for evaluation."""
    torch.manual_seed(0)
    model.train()
    optimisers = make_optimisers(model, settings)
    batches, losses, epoch = StreamBatches(stream, model.config, model.hash_ids()), [], 0
    while len(losses) < steps:
        for batch in batches.epoch(epoch, 0, settings.batch_size, settings.sequence_length):
            losses.append(_step(model, batch, optimisers, loss))
            if len(losses) == steps:
                break
        epoch += 1
    model.eval()
    return losses


def _step(model, batch, optimisers, loss):
    found = loss(model, batch)
    found.backward()
    for optimiser in optimisers:
        optimiser.step()
        optimiser.zero_grad()
    return float(found.detach())
