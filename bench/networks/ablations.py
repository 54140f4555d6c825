"""Networks trained alike but for some settings of training, or with a teacher, beside one without and another seed.

Each is trained by the code of `nbmf train` on equally many tokens. What another seed changes says what differences are
worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer

from bench.networks.measure import ALL, Coding
from bench.networks.runs import new_folder, processor_s_per_token
from bench.networks.samples import Samples
from nbmf.neural.config import PRESETS, NeuralConfig
from train_app.network.model import NeuralModel
from train_app.network.settings import NeuralTrainConfig
from train_app.network.start import Start
from train_app.network.teacher import taught_by
from train_app.network.train import train_network

AS_IT_IS, ANOTHER_SEED, TAUGHT = "as it is", "another seed", "with the teacher"


class Ablation(NamedTuple):
    """A row's name, what it is trained with, and the folder of its teacher."""

    name: str
    settings: NeuralTrainConfig
    teacher: Path | None = None


def run(
    samples: Samples,
    ablations: Sequence[Ablation],
    preset: str,
    start: tuple[NeuralModel, Tokenizer] | None,
    vocabulary_of: Path | None,
    folder: Path,
    on_step: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Rows {ablation, train_us_per_token, sizes, sets, float_bits_per_byte}, in the order given.

    `start`: what each begins with in place of random weights of the preset. `vocabulary_of`: the folder of a network
    whose vocabulary all new ones have, as one with that as its teacher must. Needs a Ray session; `folder` holds the
    runs. Raises TrainingFailed.
    """
    rows = []
    for number, one in enumerate(ablations):
        on_step(f"{one.name}: training")
        run_folder = new_folder(folder, f"run-{number}")
        begin: NeuralConfig | Start
        begin = Start.of_model(*start, run_folder) if start else PRESETS[preset].with_(**one.settings.network)
        teacher = None
        if vocabulary_of:
            begin, teacher = taught_by(vocabulary_of, begin, run_folder)
        taught = teacher if one.teacher else None
        learnt_from, watched, tested = samples
        lines: list[dict[str, Any]] = []
        model, tokenizer, _ = train_network(
            learnt_from, watched, begin, one.settings, run_folder, lines.append, teacher=taught
        )
        on_step(f"{one.name}: measuring")
        coding = Coding.of(model, tokenizer, learnt_from)
        row = {"ablation": one.name, "train_us_per_token": round(processor_s_per_token(lines) * 1e6, 2)}
        rows.append(row | coding.sizes() | coding.bits(tested))
    return rows


def markdown(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Lines of a table: bits a byte of all records in floats and in integers, and the ratio of the streams."""
    yield "| trained | bits a byte, floats | | integers | | integers cost | ratio of the streams | µs a token |"
    yield "|---|---|---|---|---|---|---|---|"
    first = rows[0]
    for row in rows:
        everything = row["sets"][ALL]
        cells = [row["ablation"]]
        for bits, before in (
            (row["float_bits_per_byte"], first["float_bits_per_byte"]),
            (everything["bits_per_byte"], first["sets"][ALL]["bits_per_byte"]),
        ):
            cells += [f"{bits:.4f}", "" if row is first else f"{bits / before - 1:+.2%}"]
        cells.append(f"{everything['bits_per_byte'] / row['float_bits_per_byte'] - 1:+.2%}")
        cells += [f"{everything['ratio']:.3f}", f"{row['train_us_per_token']:,.0f}"]
        yield "| " + " | ".join(cells) + " |"
