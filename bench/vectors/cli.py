"""`nbmf bench vectors`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from bench.options import JsonOption, check_writable, write_json
from cluster.cli.options import LOCAL


def vectors(
    data: Annotated[Path, typer.Option(**LOCAL, help="Vectors to measure on: a .npy file [V, D] of floats.")],
    train: Annotated[Path, typer.Option(**LOCAL, help="Other vectors of the same space, to learn from (.npy).")],
    plot: Annotated[Path | None, typer.Option(**LOCAL, help="Write recall against bytes there as a PNG.")] = None,
    json_output: JsonOption = None,
) -> None:
    """Bytes a vector, cosine and recall@10 of ours, float16, int8 and faiss' quantisers.

    Each vector is coded alone and decoded. Recall: of the ten nearest other vectors, by cosine, how many are found when
    they are stored in that form. Speeds are of one core's time. Needs the extra `bench`; faiss' rows need faiss-cpu.
    """
    check_writable(json_output, "--json")
    check_writable(plot, "--plot")
    from bench.extra import require
    from bench.machine import facts, sentence
    from bench.vectors import run as vectors_bench
    from cluster.progress import console, results

    measured, training = _read(data), _read(train)
    if measured.shape[1] != training.shape[1]:
        raise typer.BadParameter(
            f"vectors of {training.shape[1]} numbers, not {measured.shape[1]}", param_hint="--train"
        )
    if plot:
        require("matplotlib")
    with console.status("fitting") as status:
        rows = vectors_bench.run(measured, training, status.update)
    machine = facts()
    write_json(json_output, {"machine": machine, "vectors": len(measured), "dims": measured.shape[1], "rows": rows})
    results().print(table(rows))
    typer.echo(
        f"{len(measured)} vectors of {measured.shape[1]} numbers, {len(training)} to learn from; {sentence(machine)}."
    )
    if not any(row["coder"].startswith("faiss") for row in rows):
        typer.echo("Without faiss, which is not installed: pip install faiss-cpu")
    if plot:
        from bench.vectors.plot import draw

        draw(rows, plot)


def _read(path: Path) -> Any:
    import numpy as np

    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path}: {error}") from error
    if array.ndim != 2 or array.dtype.kind != "f" or len(array) < 2:
        raise typer.BadParameter(f"{path}: an array of {array.dtype} of shape {array.shape}, not floats [V, D]")
    return array.astype(np.float32)


def table(rows: list[dict[str, Any]]) -> Table:
    """A row a coder."""
    shown = Table("coder", *("bytes", "ratio", "cosine mean", "p5", "min", "recall@10", "encode/s", "decode/s"))
    for row in rows:
        values = (
            f"{row['bytes']:,.1f}",
            f"{row['ratio']:.2f}",
            *(f"{row[f'cosine_{what}']:.5f}" for what in ("mean", "p5", "min")),
            f"{row['recall_10']:.4f}",
            *(f"{row[f'{what}_per_s']:,}" for what in ("encode", "decode")),
        )
        shown.add_row(row["coder"], *values)
    return shown
