"""A version's measurements as a table."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from cluster.fit import OURS
from nbmf.printable import printable
from train_app.augment.told import copies_told
from train_app.results.stability import BUILT_IN, STABLE, InUse

_SHOWN_CLASSES = 20


def ratio_table(measured: dict[str, Any], before: InUse) -> Table:
    """Ratios over all held-out records, then by kind: of zlib and zstd, of the versions there were, of the new one."""
    table = _table("Held-out records, each coded alone: raw bytes / coded bytes", "kind")
    _fill(table, {"all kinds": measured["all"], **measured["kinds"]}, before)
    return table


def network_line(architecture: str, measured: dict[str, Any]) -> str:
    """Of a network that was trained: its kind, its layers and its size."""
    layers, parameters = measured["layer_kinds"], measured["parameters"]
    return f"Network: {architecture}, layers {layers} (a: attention, c: convolution), {parameters:,} parameters."


def augmentation_line(augmentation: dict[str, Any]) -> str:
    """Of the altered copies that a network learnt from as well."""
    return f"Learnt from besides: {copies_told(augmentation['copies'])}."


def class_table(classes: dict[str, Any], before: InUse) -> Table:
    """The same by class, of the classes with most bytes."""
    largest = sorted(classes, key=lambda name: -classes[name][OURS]["raw_bytes"])[:_SHOWN_CLASSES]
    more = f", the {len(largest)} largest of {len(classes)}" if len(classes) > len(largest) else ""
    table = _table(f"Held-out records by class{more}", "class")
    _fill(table, {printable(name): classes[name] for name in largest}, before)
    return table


def _table(title: str, first: str) -> Table:
    # No lines: so it fits 80 columns.
    table = Table(title=title, box=None, pad_edge=False)
    for column in (first, "codec", "n", "bytes", "total", "mean", "p5", "min"):
        table.add_column(column, justify="left" if column in (first, "codec") else "right", no_wrap=column != "class")
    return table


def _fill(table: Table, groups: dict[str, Any], before: InUse) -> None:
    names = {OURS: "nbmf, this version", BUILT_IN: "nbmf, built-in version"}
    if before.stable:
        names[STABLE] = f"nbmf, stable ({before.stable[:8]})"
    for group, codecs in groups.items():
        for name, row in codecs.items():
            ratios = [f"{row[key]:.2f}" for key in ("total_ratio", "mean_ratio", "p5_ratio", "min_ratio")]
            table.add_row(group, names.get(name, name), f"{row['records']:,}", f"{row['coded_bytes']:,}", *ratios)
        table.add_row()


def vectors_table(measured: list[dict[str, Any]]) -> Table:
    """What fidelity semantic makes of vectors that were not learnt from."""
    table = Table(title="Vectors, fidelity semantic: bytes of each", box=None, pad_edge=False)
    for column in ("where", "dims", "learnt", "float32", "untrained", "nbmf", "cosine mean", "min"):
        where = column == "where"
        table.add_column(column, justify="left" if where else "right", no_wrap=not where, overflow="fold")
    for space in measured:
        sizes = (f"{4 * space['dims']:,}", f"{space['bytes_untrained']:,.0f}", f"{space['bytes']:,.0f}")
        cosines = (f"{space['cosine_mean']:.4f}", f"{space['cosine_min']:.4f}")
        table.add_row(space["place"], f"{space['dims']:,}", f"{space['learnt_from']:,}", *sizes, *cosines)
    return table
