"""What was measured as Markdown tables, for a terminal and for a README alike."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is set to the right.

    Example:
        >>> print(table(["what", "s"], [["a", "1"]]))
        | what | s |
        | --- | ---: |
        | a | 1 |
    """
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def stages(rows: Sequence[dict]) -> str:
    """Return the table of the stages of a pass."""
    head = ["stage", "images", "ms an image", "network alone", "ratio"]
    return table(head, [[r["stage"], f"{r['images']:,}", _ms(r["seconds"], r["images"]), _ms(r["bare"], r["images"]), _ratio(r["ratio"])] for r in rows])


def metrics(rows: Sequence[dict]) -> str:
    """Return the table of metrics beside those of other packages."""
    head = ["metric", "beside", "n, d", "s", "s, theirs", "times as fast", "digits shared", "memory", "memory, theirs", "note"]
    return table(head, [_contest(r) for r in rows])


def script(rows: Sequence[dict]) -> str:
    """Return the table of the audit against scripts."""
    head = ["what", "images", "s of processor", "s of wall", "times the audit's", "FID", "precision"]
    return table(head, [[r["what"], f"{r['images']:,}", _s(r["seconds"]), _s(r["wall"]), _ratio(r["ratio"]), _s(r.get("fid")), _s(r.get("precision"))]
                        for r in rows])  # fmt: skip


def growth(rows: Sequence[dict]) -> str:
    """Return the table of cost against n."""
    sizes = list(rows[0]["seconds"])
    head = ["s of processor at n =", *(f"{n:,}" for n in sizes), "grows", "as n to the"]
    return table(head, [[r["what"], *(_s(r["seconds"][n]) for n in sizes), r["grows"], _ratio(r["exponent"])] for r in rows])


def chain(found: dict) -> str:
    """Return the table of one device."""
    rows = [[r["stage"], f"{r['per_second']:,.0f}", f"{r['bare_per_second']:,.0f}"] for r in found["stages"]]
    rows.append(["together", f"{found['together']:,.0f}", f"{found['bound']:,.0f}"])
    peak = "" if found["peak_bytes"] is None else f", {_bytes(found['peak_bytes'])} at the peak"
    words = f"{found['device']}, batches of {found['batch']}: {found['share']:.2f} of the bound{peak}"
    return "\n\n".join(part for part in (table(["stage", "images a second", "network alone"], rows), words, found["note"]) if part)


def _contest(r: dict) -> list[str]:
    if "seconds" not in r:
        return [r["metric"], r["package"], f"{r['n']:,}, {r['d']:,}", *["-"] * 6, r["note"]]
    return [r["metric"], f"{r['package']} {r['version']}", f"{r['n']:,}, {r['d']:,}", _s(r["seconds"]), _s(r["seconds_theirs"]), _ratio(r["ratio"]),
            _digits(r["digits"]), _bytes(r.get("memory")), _bytes(r.get("memory_theirs")), r["note"]]  # fmt: skip


def _digits(value: float) -> str:
    return "all" if value >= 16 else f"{value:.0f}"


def _ms(seconds: float | None, images: int) -> str:
    return "-" if seconds is None else f"{1000 * seconds / images:.2f}"


def _s(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _bytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 1e6:,.0f} MB"
