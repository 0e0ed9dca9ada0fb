"""``twin store``: look into stores, check, compare, keep and exchange them."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from twin.errors import Fault, InputError, StoreError

store_app = typer.Typer(no_args_is_help=True, help="Check, compare and exchange stores.")

Store = Annotated[
    str,
    typer.Argument(
        help="A folder, s3://bucket/prefix, icechunk:folder or icechunk+s3://bucket/prefix.",
        show_default=False,
    ),
]
Site = Annotated[str, typer.Argument(help="Name of a site.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="As JSON, for programs.")]


class Format(StrEnum):
    """Formats that other programs read."""

    DEEPMIMO = "deepmimo"
    NPZ = "npz"
    HDF5 = "hdf5"
    CSV = "csv"


class Precision(StrEnum):
    """What the parts of a channel's numbers are kept as."""

    INT16 = "int16"
    FLOAT16 = "float16"


@store_app.command("info")
def store_info(store: Store, as_json: Json = False) -> None:
    """What a store holds, finished or not."""
    from twin.store.summary import info, info_text

    found = info(store)
    typer.echo(json.dumps(found, indent=2) if as_json else info_text(found))


@store_app.command("validate")
def store_validate(store: Store) -> None:
    """Every departure from the schema: structure, attributes, and numbers that cannot be."""
    from twin.store.validate import validate

    _tell(validate(store), "the store departs from the schema", "Sound: as the schema lays down.")


@store_app.command("verify")
def store_verify(store: Store) -> None:
    """Read everything back and compare it with the receipts."""
    from twin.store.verify import verify

    _tell(verify(store), "the store is not whole", "Whole: every block is as its receipt says.")


def _tell(faults: list[Fault], problem: str, fine: str) -> None:
    if faults:
        raise StoreError("\n".join([f"{problem}:", *(f"  - {fault}" for fault in faults)]))
    typer.echo(fine)


@store_app.command("digest")
def store_digest(store: Store) -> None:
    """Digest of the content of all published sites; equal content gives an equal digest."""
    from twin.store.verify import digest

    typer.echo(digest(store))


@store_app.command("diff")
def store_diff(left: Store, right: Store, as_json: Json = False) -> None:
    """What differs between two stores, and by how much; exit code 1 where anything does."""
    from twin.store.diff import diff

    found = diff(left, right)
    typer.echo(found.to_json() if as_json else found.to_text())
    if not found.equal:
        raise typer.Exit(1)


@store_app.command("history")
def store_history(store: Store) -> None:
    """States of a versioned store, the newest first, with their tags."""
    from twin.store.location import storage

    versions = storage(store).history()
    if not versions:
        expected = "a versioned store (icechunk:...)"
        raise InputError([Fault(store, "", expected, "one that keeps no history")])
    for version in versions:
        tags = f"  [{', '.join(version.tags)}]" if version.tags else ""
        typer.echo(f"{version.snapshot}  {version.written}  {version.message}{tags}")


@store_app.command("compact")
def store_compact(
    source: Store,
    target: Store,
    site: Annotated[list[str] | None, typer.Option(help="Only this site; may be repeated.")] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Keep channels with fewer bits; says what is lost.")
    ] = None,
) -> None:
    """Rewrite published sites into few, compressed files, for keeping and sharing."""
    from twin.store.compact import compact

    kinds: dict[Precision | None, Literal["int16", "float16"] | None] = {
        None: None,
        Precision.INT16: "int16",
        Precision.FLOAT16: "float16",
    }
    for summary in compact(source, target, site, precision=kinds[precision]).values():
        typer.echo(summary.to_text())


@store_app.command("card")
def store_card(
    store: Store,
    to: Annotated[Path, typer.Option(help="Folder of the two files.")] = Path(),
    name: Annotated[str, typer.Option(help="Name of the publication.")] = "",
    version: Annotated[str, typer.Option(help="Its version, such as 1.0.0.")] = "",
    date: Annotated[str, typer.Option(help="Its date, YYYY-MM-DD.")] = "",
    url: Annotated[str, typer.Option(help="Its address.")] = "",
    licence: Annotated[str, typer.Option(help="Its licence (SPDX).")] = "",
) -> None:
    """Write a data card (Markdown) and a Croissant record (JSON-LD) of a store."""
    from twin.store.card.card import write_card
    from twin.store.card.croissant import Publication

    publication = Publication(name=name, version=version, date=date, url=url, licence=licence)
    for path in write_card(store, to, publication):
        typer.echo(f"Card: {path}")


@store_app.command("migrate")
def store_migrate(store: Store, new: Store) -> None:
    """Write a store of an older schema anew in the present one."""
    from twin.store.migrate import migrate

    for site, digest in migrate(store, new).items():
        typer.echo(f"{site}: {digest}")


@store_app.command("export")
def store_export(
    store: Store,
    site: Site,
    target: Annotated[Path, typer.Argument(help="File, or folder for deepmimo.")],
    form: Annotated[Format, typer.Option("--format", help="What it becomes.")],
) -> None:
    """Write a site for other programs: DeepMIMO v4, NPZ, HDF5, or its RSS as CSV."""
    from twin.store.exchange.csv import export_csv
    from twin.store.exchange.deepmimo_export import export_deepmimo
    from twin.store.exchange.hdf5 import export_hdf5
    from twin.store.exchange.npz import export_npz

    export = {
        Format.DEEPMIMO: export_deepmimo,
        Format.NPZ: export_npz,
        Format.HDF5: export_hdf5,
        Format.CSV: export_csv,
    }[form]
    export(store, site, target)
    typer.echo(f"{form}: {target}")


@store_app.command("import")
def store_import(
    source: Annotated[Path, typer.Argument(help="File, or folder for deepmimo.")],
    store: Store,
    site: Site,
    form: Annotated[Format, typer.Option("--format", help="What it is.")],
) -> None:
    """Bring a site in from DeepMIMO v4, or from what `twin store export` wrote."""
    from twin.store.exchange.csv import import_csv
    from twin.store.exchange.deepmimo_import import import_deepmimo
    from twin.store.exchange.hdf5 import import_hdf5
    from twin.store.exchange.npz import import_npz

    bring = {
        Format.DEEPMIMO: import_deepmimo,
        Format.NPZ: import_npz,
        Format.HDF5: import_hdf5,
        Format.CSV: import_csv,
    }[form]
    typer.echo(f"{site}: {bring(source, store, site)}")
