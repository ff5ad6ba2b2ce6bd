"""The command ``genbias assets``: what models and data sets are known, which are here, and fetching them with their checksums."""

import json
from typing import TYPE_CHECKING

import click

from audit.convert import convert
from audit.errors import ManifestError

if TYPE_CHECKING:
    from audit.manifests import Manifest

_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
_commercial = click.option("--commercial-use", is_flag=True, help="Refuse assets whose terms do not allow commercial use.")


@click.group()
def assets() -> None:
    """Models and data sets that the data manifests describe."""


@assets.command("list")
@click.option("--kind", help="Only this kind: classifier, generator, encoder, face_finder, dataset or reference.")
@_commercial
@_json
def list_command(kind: str | None, commercial_use: bool, as_json: bool) -> None:
    """List every manifest with its kind, licence and whether its files are here.

    With --commercial-use only those whose terms allow it.
    """
    from audit.manifests import list_manifests

    chosen = [m for m in list_manifests() if kind in (None, m.kind) and (m.use == "any" or not commercial_use)]
    rows = [{"name": m.name, "kind": m.kind, "title": m.title, "licence": m.licence, "terms": m.terms, "allowed_use": m.use,
             "status": m.status, "files": len(m.files), "here": _here(m)} for m in chosen]  # fmt: skip
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    width = max((len(r["name"]) for r in rows), default=0)
    for r in rows:
        click.echo(f"{'*' if r['here'] else ' '} {r['name']:{width}}  {r['kind']:11}  {r['allowed_use'] or 'not stated':23}  {r['licence']}")
    click.echo("\n* the files are here; `genbias assets verify NAME` reads their checksums", err=True)


@assets.command("fetch")
@click.argument("names", nargs=-1, required=True)
@click.option("--offline", is_flag=True, help="Ask nobody: say which files are missing.")
@_commercial
@_json
def fetch_command(names: tuple[str, ...], offline: bool, commercial_use: bool, as_json: bool) -> None:
    """Fetch the files of the manifests NAMES into GENBIAS_HOME, continuing what was broken off.

    A file that is here already, also in GENBIAS_ASSETS, TORCH_HOME or HF_HOME, is verified and left where it is.
    """
    from audit.downloads import fetch_all

    manifests = _allowed(names, commercial_use)
    found = {m.name: [str(p) for p in fetch_all(m, offline=offline, progress=True)] for m in manifests}
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for manifest in manifests:
        for path, file in zip(found[manifest.name], manifest.files, strict=True):
            click.echo(f"{path}  {_held_to(file)}")
        if manifest.terms or manifest.use != "any":
            click.echo(f"{manifest.name}: {manifest.licence}; {manifest.terms or 'terms of use not stated'}", err=True)


@assets.command("verify")
@click.argument("names", nargs=-1)
@_commercial
@_json
def verify_command(names: tuple[str, ...], commercial_use: bool, as_json: bool) -> None:
    """Read the checksums of the files of the manifests NAMES, or of all that are here."""
    from audit.asset_files import NotHereError
    from audit.manifests import list_manifests, resolve

    rows, bad = [], []
    for manifest in _allowed(names, commercial_use) if names else list_manifests():
        for file in manifest.files:
            try:
                rows.append({"name": manifest.name, "file": file.name, "path": str(resolve(manifest, file=file.name)), "ok": True,
                             "held_to": _held_to(file)})  # fmt: skip
            except ManifestError as error:
                if names or not isinstance(error, NotHereError):
                    rows.append({"name": manifest.name, "file": file.name, "path": None, "ok": False, "held_to": str(error)})
                    bad.append(str(error))
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    else:
        for r in rows:
            click.echo(f"{'ok ' if r['ok'] else '!! '} {r['name']}  {r['path'] or r['file']}  {r['held_to'] if r['ok'] else ''}".rstrip())
    if bad:
        raise ManifestError("; ".join(bad))


def _allowed(names: tuple[str, ...], commercial_use: bool) -> "list[Manifest]":
    from audit.allowed_use import require_commercial_use
    from audit.manifests import load_manifest

    manifests = [load_manifest(name) for name in names]
    if commercial_use:
        require_commercial_use(manifests)
    return manifests


assets.add_command(convert)


def _here(manifest: "Manifest") -> bool:
    """Whether all files lie somewhere, by name and size only: a list is quick, checksums are for ``verify``."""
    from audit.asset_files import located

    return bool(manifest.files) and all(located(manifest, f) is not None for f in manifest.files)


def _held_to(file) -> str:  # noqa: ANN001 (a DataFile, which is imported late)
    if file.sha256:
        return "sha256 as published"
    if file.sha256_prefix or file.git_blob_sha1 or file.md5:
        return "published short checksum, sha256 of the first use"
    return "sha256 of the first use: none is published"
