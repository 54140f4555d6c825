"""`nbmf bench vectors`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from bench.options import JsonOption, check_writable, write_json
from cluster.cli.options import LOCAL, PayloadFieldOption, PayloadOption


def vectors(
    data: Annotated[
        Path | None, typer.Option(**LOCAL, help="Vectors to measure on: a .npy file [V, D] of floats.")
    ] = None,
    train: Annotated[
        Path | None, typer.Option(**LOCAL, help="Other vectors of the same space, to learn from (.npy).")
    ] = None,
    texts: Annotated[
        str | None,
        typer.Option(help="Records whose texts vectors are derived from, in place of --data and --train."),
    ] = None,
    dims: Annotated[int | None, typer.Option(min=8, max=4096, help="Dims of vectors that are derived.")] = None,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    step: Annotated[
        list[int] | None,
        typer.Option(min=0, max=127, help="Of ours, of quantisation; repeatable. [default: 13, 25, 37, 49]"),
    ] = None,
    rate_weight: Annotated[
        float, typer.Option(min=0, max=10, help="Of ours: squared half-steps of error that a bit is worth.")
    ] = 0.3,
    pq: Annotated[
        bool, typer.Option("--pq/--no-pq", help="Whether faiss' PQ and OPQ are measured, which learn for minutes.")
    ] = True,
    plot: Annotated[Path | None, typer.Option(**LOCAL, help="Write recall against bytes there as a PNG.")] = None,
    json_output: JsonOption = None,
) -> None:
    """Bytes a vector, cosine and recall@10 of ours, float16, int8 and faiss' quantisers.

    Each vector is coded alone and decoded. Recall: of the ten nearest other vectors, by cosine, how many are found when
    they are stored in that form; of RaBitQ, whose codes stand for distances alone, by those. Speeds are of one core's
    time. Without vectors of so many dims, --texts and --dims derive some from words that texts have in common (latent
    semantic analysis): they are no embedding model's. Needs the extra `bench`; faiss' rows need faiss-cpu.
    """
    check_writable(json_output, "--json")
    check_writable(plot, "--plot")
    from bench.extra import require
    from bench.machine import facts, sentence
    from bench.vectors import run as vectors_bench
    from cluster.progress import console, results

    if (texts is None) != (dims is None) or (texts is None) == (data is None) or (data is None) != (train is None):
        raise typer.BadParameter("give --data and --train, or --texts and --dims")
    if plot:
        require("matplotlib")
    with console.status("reading") as status:
        if data and train:
            measured, training = _read(data), _read(train)
        else:
            measured, training = _derived(str(texts), dims or 0, payload_field, payload, status.update)
        if measured.shape[1] != training.shape[1]:
            raise typer.BadParameter(
                f"vectors of {training.shape[1]} numbers, not {measured.shape[1]}", param_hint="--train"
            )
        status.update("fitting")
        rows = vectors_bench.run(measured, training, status.update, pq, step or vectors_bench.STEPS, rate_weight)
    machine = facts()
    report = {"machine": machine, "vectors": len(measured), "dims": measured.shape[1], "derived": texts is not None}
    write_json(json_output, report | {"rows": rows})
    results().print(table(rows))
    made = ", derived from words of texts," if texts else ","
    typer.echo(
        f"{len(measured)} vectors of {measured.shape[1]} numbers{made} {len(training)} to learn from; "
        f"{sentence(machine)}."
    )
    if not any(row["coder"].startswith("faiss") for row in rows):
        typer.echo("Without faiss, which is not installed: pip install faiss-cpu")
    if plot:
        from bench.vectors.plot import draw

        draw(rows, plot)


MEASURED, TRAINING = 500, 6_000
"""Of records, at most, that vectors are derived from."""


def _derived(source: str, dims: int, payload_field: str | None, payload: PayloadOption, report: Any) -> tuple[Any, Any]:
    from bench.records import NothingToMeasure, read, spaced
    from bench.vectors.texts import embeddings
    from cluster.sources import open_source
    from nbmf.payload import Kind

    records = read(open_source(source, payload_field=payload_field, payload=payload))
    texts = [record.canonical.decode() for record in records if record.kind not in (Kind.BYTES, Kind.ARRAY)]
    taken = spaced(texts, MEASURED + TRAINING)
    chosen = {*spaced(range(len(taken)), min(MEASURED, len(taken) // 2))}
    report("deriving vectors")
    try:
        training, measured = embeddings(
            [text for i, text in enumerate(taken) if i not in chosen], [taken[i] for i in sorted(chosen)], dims
        )
    except ValueError as error:
        raise NothingToMeasure(f"{source}: {error}") from error
    return measured, training


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
            *(f"{row[key]:.5f}" if key in row else "" for key in ("cosine_mean", "cosine_p5", "cosine_min")),
            f"{row['recall_10']:.4f}",
            *(f"{row[key]:,}" if key in row else "" for key in ("encode_per_s", "decode_per_s")),
        )
        shown.add_row(row["coder"], *values)
    return shown
