"""What a checkpoint holds, and how a run goes on from one: on any number of workers, at the place where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from train_app.network.feed import Place
from train_app.network.model import NeuralModel

Best = tuple[float, dict[str, torch.Tensor]]
"""Bits a byte of the validation records, and the weights that need so many: the fewest so far."""


def save(
    path: Path,
    model: NeuralModel,
    optimisers: tuple[torch.optim.Optimizer, ...],
    spent: dict[str, int | float],
    place: Place,
    order: dict[str, int | float],
    best: Best | None,
    final: bool,
) -> None:
    """Weights by the names of the bare network. `final` keeps the best ones, which then are what the run made."""
    now = model.state_dict()
    others = best is not None and any(not torch.equal(now[name], tensor) for name, tensor in best[1].items())
    state = {
        "config": model.config.to_dict(),
        "model": best[1] if final and best else now,
        "rounding_steps": model.steps,
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        **spent,
        "epoch": place.epoch,
        "sequences": place.sequences,
        "order": order,
        "best_bits_per_byte": best[0] if best else None,
        "best": best[1] if best and others and not final else None,
    }
    torch.save(state, path)


def load(
    path: Path, model: NeuralModel, optimisers: tuple[torch.optim.Optimizer, ...], device: torch.device
) -> dict[str, Any]:
    """What is in the file beside weights and optimisers' state, which are put in place, if it has any of these."""
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
    model.restore(state["model"])
    model.round_by(state.get("rounding_steps", {}))
    for optimiser, saved in zip(optimisers, state.pop("optimisers", [None] * len(optimisers)), strict=True):
        if saved is None:  # a network that was not trained here
            continue
        own = [{k: v for k, v in group.items() if k != "params"} for group in optimiser.param_groups]
        optimiser.load_state_dict(saved)
        for group, options in zip(optimiser.param_groups, own, strict=True):
            group.update(options)
    return state


def place_of(state: dict[str, Any], order: dict[str, int | float]) -> Place:
    """Where the run goes on; in a new epoch, where records or their order are not as they were."""
    if state.get("order") == order:
        return Place(int(state["epoch"]), int(state["sequences"]))
    return Place(int(state["epoch"]) + 1) if "epoch" in state else Place()


def best_of(state: dict[str, Any], model: NeuralModel) -> Best | None:
    """The best weights of the run so far, which may be those that it goes on with."""
    if state.get("best_bits_per_byte") is None:
        return None
    weights = state["best"] or {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return float(state["best_bits_per_byte"]), weights
