"""`nbmf bench latency`, `throughput`, `large`, `start` and `phases`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.options import (
    DataOption,
    EffortsOption,
    EveryOption,
    JsonOption,
    SetFieldOption,
    TrainOption,
    check_writable,
    efforts_of,
    write_json,
)
from cluster.cli.options import LOCAL, CodecOption, PayloadFieldOption, PayloadOption, RegistryOption
from cluster.registry import DEFAULT

BATCH_SIZES, PROCESSES = (1, 4, 16, 64, 256), (1, 2)


def latency(
    data: DataOption,
    train: TrainOption = None,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    set_field: SetFieldOption = None,
    codec: CodecOption = DEFAULT,
    registry: RegistryOption = None,
    effort: EffortsOption = None,
    every: EveryOption = 1,
    per_size: Annotated[int, typer.Option(min=1, help="Records of each size, at most.")] = 60,
    json_output: JsonOption = None,
) -> None:
    """Time to encode and to decode one record, by its size: p50 and p95, on one core of this process.

    Beside zstd and brotli, and with --train zstd with a dictionary and primed PPMd, which code the same records in
    turn with ours. Every record is decoded and compared. PPMd is given twice: as pyppmd has to be used, reading its
    1 MB prime anew for each record, and with that time left out. Needs the packages of the extra `bench`.
    """
    from bench.extra import require

    require("brotli", "pyppmd")
    check_writable(json_output, "--json")
    from bench.speed import latency as latency_bench
    from bench.speed import tables as speed_tables
    from cluster.progress import progress, results
    from cluster.registry import Registry

    place = Registry(registry)
    version = place.resolve(codec)
    loaded = place.load(version)
    with progress("records") as bars:
        task = bars.add_task("preparing", total=None)
        records, training = _read(data, train, (payload_field, payload), set_field, every)
        report = latency_bench.run(
            records,
            training,
            loaded,
            efforts_of(effort),
            per_size,
            latency_bench.token_counter(place, version),
            lambda total: bars.update(task, description="measuring", total=total),
            lambda: bars.advance(task),
        )
    write_json(json_output, report)
    console = results()
    for table in speed_tables.latency_tables(report):
        console.print(table)
    console.print(speed_tables.latency_totals(report))
    for reason, count in report["left_out"].items():
        if count:
            typer.echo(f"{count:,} records left out: {reason}")
    _say_where(report)


def throughput(
    data: DataOption,
    train: TrainOption = None,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    set_field: SetFieldOption = None,
    codec: CodecOption = DEFAULT,
    registry: RegistryOption = None,
    effort: EffortsOption = None,
    every: EveryOption = 1,
    batch_size: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Records a batch; repeatable. [default: 1, 4, 16, 64, 256]", metavar="N", show_default=False
        ),
    ] = None,
    processes: Annotated[
        list[int] | None,
        typer.Option(
            min=1, help="Processes at the same time; repeatable. [default: 1, 2]", metavar="N", show_default=False
        ),
    ] = None,
    kb: Annotated[
        int,
        typer.Option(min=1, help="Payload of a measurement, kB; more if the largest batch would not be full."),
    ] = 400,
    json_output: JsonOption = None,
    plot: Annotated[
        Path | None, typer.Option(**LOCAL, help="Write a plot of ratio against speed there, a .png.")
    ] = None,
) -> None:
    """Payload a second that is encoded and decoded on one core, by batch size, and by several processes at once.

    Beside zstd and brotli, and with --train zstd with a dictionary and primed PPMd (see `nbmf bench latency`), on the
    same records. Every record is decoded and compared, outside the timed part. Medians of 3 repeats. Takes about
    ten minutes with the built-in version. Needs the packages of the extra `bench`.
    """
    from bench.extra import require

    require("brotli", "pyppmd", *(["matplotlib"] if plot else []))
    check_writable(json_output, "--json")
    check_writable(plot, "--plot")
    if plot and plot.suffix != ".png":
        raise typer.BadParameter(f"{plot} does not end in .png", param_hint="--plot")
    from bench.speed import scaling
    from bench.speed import tables as speed_tables
    from bench.speed import throughput as throughput_bench
    from cluster.progress import progress, results
    from cluster.registry import Registry

    place = Registry(registry)
    version = place.resolve(codec)
    loaded = place.load(version)
    efforts, counts = efforts_of(effort), sorted({*(processes or PROCESSES)})
    sizes = sorted({*(batch_size or BATCH_SIZES)})
    with progress("measurements") as bars:
        task = bars.add_task("preparing", total=None)
        records, training = _read(data, train, (payload_field, payload), set_field, every)
        chosen = throughput_bench.pick(records, kb * 1000, max(sizes))
        report = throughput_bench.run(
            chosen,
            training,
            loaded,
            efforts,
            sizes,
            lambda total: bars.update(task, description="one core", total=total),
            lambda: bars.advance(task),
        )
        task = bars.add_task("processes", total=len(efforts) * len(counts))
        report["processes"] = scaling.run(
            chosen, (place.location, version), efforts, report["one_core"], counts, lambda: bars.advance(task)
        )
    write_json(json_output, report)
    if plot:
        from bench.speed import plot as speed_plot

        speed_plot.write(report, plot)
    console = results()
    console.print(speed_tables.throughput_table(report))
    console.print(speed_tables.scaling_table(report))
    _say_where(report)


def large(
    data: DataOption,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    codec: CodecOption = DEFAULT,
    registry: RegistryOption = None,
    effort: EffortsOption = None,
    size: Annotated[
        list[int] | None,
        typer.Option(
            min=1_000,
            metavar="BYTES",
            help="Size of a record; repeatable. [default: 50 kB, 200 kB, 1 MB, 5 MB]",
            show_default=False,
        ),
    ] = None,
    json_output: JsonOption = None,
) -> None:
    """Bytes and seconds of large records: conversations, and histories of states that hold all messages before them.

    They are made of the records of --data. Each is encoded, decoded and compared, beside zlib and zstd. With effort
    max, a record of 5 MB takes minutes.
    """
    check_writable(json_output, "--json")
    from bench.speed import large as large_bench
    from bench.speed import tables as speed_tables
    from cluster.progress import progress, results
    from cluster.registry import Registry

    place = Registry(registry)
    version = place.resolve(codec)
    with progress("records") as bars:
        task = bars.add_task("preparing", total=None)
        small, _ = _read(data, None, (payload_field, payload), None, 1)
        report = large_bench.run(
            small,
            place.load(version),
            efforts_of(effort),
            sorted({*(size or large_bench.SIZES_BYTES)}),
            lambda total: bars.update(task, description="measuring", total=total),
            lambda: bars.advance(task),
        )
    write_json(json_output, report)
    results().print(speed_tables.large_table(report))
    _say_where(report)


def start(
    codec: CodecOption = DEFAULT,
    registry: RegistryOption = None,
    effort: EffortsOption = None,
    json_output: JsonOption = None,
) -> None:
    """Time from a fresh Python process to its first record, and the memory that it takes.

    Each line is a process that imports nbmf, loads the version, and encodes, or decodes, the same record twice: the
    median of 5 processes.
    """
    check_writable(json_output, "--json")
    from bench.speed import start as start_bench
    from bench.speed import tables as speed_tables
    from cluster.progress import progress, results
    from cluster.registry import Registry

    place = Registry(registry)
    folder = start_bench.folder_of(place, place.resolve(codec))
    efforts = efforts_of(effort)
    with progress("processes") as bars:
        task = bars.add_task("starting", total=start_bench.steps(efforts))
        report = start_bench.run(folder, efforts, lambda: bars.advance(task))
    write_json(json_output, report)
    results().print(speed_tables.start_table(report))
    _say_where(report)


def phases(
    codec: CodecOption = DEFAULT,
    registry: RegistryOption = None,
    older: Annotated[bool, typer.Option(help="Measure code for the next older kind of processor, too.")] = True,
    json_output: JsonOption = None,
) -> None:
    """What a token needs on one core, part by part: alone, as in decoding, and with 15 others, as in encoding.

    Each part is repeated by itself; the last lines are the network and whole records, as they are run. With code for
    the next older kind of processor as well. Medians of 7 repeats.
    """
    check_writable(json_output, "--json")
    from bench.exact.comparison import version_folder
    from bench.speed import phases as phases_bench
    from cluster.progress import progress, results
    from cluster.registry import Registry

    folder = version_folder(Registry(registry), codec)
    modes = phases_bench.modes() if older else [phases_bench.NATIVE]
    with progress("processes") as bars:
        task = bars.add_task("measuring", total=len(modes))
        report = phases_bench.run(folder, modes, lambda: bars.advance(task))
    write_json(json_output, report)
    for table in phases_bench.tables(report):
        results().print(table)
    _say_where(report)


def _read(
    data: str, train: str | None, payload: tuple[str | None, str | None], set_field: str | None, every: int
) -> Any:
    """The records to measure on, and the canonical bytes of those to learn from."""
    from bench.records import read
    from cluster.sources import open_source

    fields: dict[str, Any] = {
        "payload_field": payload[0],
        "payload": payload[1],
        "class_field": set_field,
        "parse_json": True,
    }
    training = read(open_source(train, **fields)) if train else []
    return read(open_source(data, **fields))[::every], [record.canonical for record in training]


def _say_where(report: dict[str, Any]) -> None:
    """Codec version, records and machine."""
    from bench.machine import sentence

    version = f"version {report['codec'][:12]}" if report["codec"] else "no version"
    records = "1 record" if report["records"] == 1 else f"{report['records']:,} records"
    typer.echo(f"{version}; {records}, {report['payload_bytes']:,} bytes of payload; {sentence(report['machine'])}")
