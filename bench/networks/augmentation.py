"""Networks trained alike without altered copies of the records, with those of each augmentation, and with all.

Each is trained by the code of `nbmf train` on equally many tokens, and measured on other records of the sets that were
learnt from and on records of other sources. Without copies it is trained twice: what another seed changes says what
differences are worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from bench.networks.measure import ALL, float_bits_by_set
from bench.networks.runs import new_folder
from bench.networks.samples import Samples
from nbmf.neural.config import PRESETS
from train_app.augment.copies import Augmented
from train_app.augment.names import Augmentation
from train_app.network.augmented import copies_for
from train_app.network.model import NeuralModel
from train_app.network.settings import NeuralTrainConfig
from train_app.network.start import Start
from train_app.network.train import train_network
from train_app.samples.sample import Sample
from train_app.samples.tokens import tokenise_samples

NONE, ANOTHER_SEED = "none", "none, another seed"
SAME, OTHER = "same_sets", "other_sources"


class _Run(NamedTuple):
    """A row's name, and the settings that make it differ."""

    name: str
    augment: tuple[Augmentation, ...] = ()
    more_seed: int = 0


RUNS = (
    _Run(NONE),
    _Run(ANOTHER_SEED, more_seed=1),
    *(_Run(name.value, (name,)) for name in Augmentation),
    _Run(ALL, tuple(Augmentation)),
)


def run(
    samples: Samples,
    others: Sequence[Sample],
    preset: str,
    start: tuple[NeuralModel, Tokenizer] | None,
    settings: NeuralTrainConfig,
    folder: Path,
    on_step: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Rows {augmentation, copies, epochs, same_sets, other_sources}, as RUNS; the last two have bits a byte by set.

    `epochs`: how often the tokens of the budget go through records and copies. Of an augmentation that applies to no
    record they are None. `start`: what each begins with in place of random weights of the preset. Needs a Ray session;
    `folder` holds the runs. Raises TrainingFailed.
    """
    rows = []
    for one in RUNS:
        update = {"augment": one.augment, "seed": settings.seed + one.more_seed}
        own = settings.model_copy(update=update)
        on_step(f"{one.name}: altering records")
        copies = copies_for(samples.learnt_from, samples.watched, own, lambda _line: None)
        row: dict[str, Any] = {"augmentation": one.name, **copies.to_dict()}
        if one.augment and not copies.copies:
            rows.append(row | {"epochs": None, SAME: None, OTHER: None})
            continue
        on_step(f"{one.name}: training")
        run_folder = new_folder(folder, f"run-{len(rows)}")
        model, tokenizer = _trained(samples, copies, preset, start, own, run_folder)
        on_step(f"{one.name}: measuring")
        rows.append(
            row | {"epochs": _epochs(samples, copies, tokenizer, own)} | _measured(model, tokenizer, samples, others)
        )
    return rows


def _trained(
    samples: Samples,
    copies: Augmented,
    preset: str,
    start: tuple[NeuralModel, Tokenizer] | None,
    settings: NeuralTrainConfig,
    folder: Path,
) -> tuple[NeuralModel, Tokenizer]:
    begin = Start.of_model(*start, folder) if start else PRESETS[preset].with_(**settings.network)
    learnt_from, watched, _ = samples
    model, tokenizer, _ = train_network(
        learnt_from, watched, begin, settings, folder, lambda _line: None, copies=copies.copies
    )
    return model, tokenizer


def _epochs(samples: Samples, copies: Augmented, tokenizer: Tokenizer, settings: NeuralTrainConfig) -> float:
    stream = tokenise_samples([*samples.learnt_from, *copies.copies], tokenizer)
    return round(settings.max_tokens / len(stream.tokens_N), 2)


def _measured(
    model: NeuralModel, tokenizer: Tokenizer, samples: Samples, others: Sequence[Sample]
) -> dict[str, dict[str, float]]:
    return {
        SAME: float_bits_by_set(model, tokenizer, samples.tested),
        OTHER: float_bits_by_set(model, tokenizer, others),
    }


def markdown(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Lines of a table: bits a byte of all records, and how many more that is than without copies."""
    yield "| augmentation | copies | epochs | bits a byte, other records of the sets | | bits a byte, other sources | |"
    yield "|---|---|---|---|---|---|---|"
    first = rows[0]
    for row in rows:
        cells = [row["augmentation"], f"{sum(row['copies'].values()):,}"]
        if row["epochs"] is None:
            yield "| " + " | ".join([*cells, "", "applies to none", "", "", ""]) + " |"
            continue
        cells.append(f"{row['epochs']:.2f}")
        for where in (SAME, OTHER):
            bits, before = row[where][ALL], first[where][ALL]
            cells += [f"{bits:.3f}", "" if row is first else f"{bits / before - 1:+.1%}"]
        yield "| " + " | ".join(cells) + " |"


def markdown_by_set(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The same for each set of other sources, in columns by augmentation: more or fewer bits than without copies."""
    trained = [row for row in rows if row["epochs"] is not None]
    yield "| other source | " + " | ".join(row["augmentation"] for row in trained) + " |"
    yield "|" + "---|" * (1 + len(trained))
    first = trained[0]
    for name, before in first[OTHER].items():
        changes = [f"{row[OTHER][name] / before - 1:+.1%}" for row in trained[1:]]
        yield "| " + " | ".join([name, f"{before:.3f}", *changes]) + " |"
