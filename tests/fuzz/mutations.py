"""How bytes and trees are put wrong."""

INTERESTING = (b"\x00", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"{", b"}", b'"', b"[", b"\n", b"-1", b"1e999", b"null", b"NaN")
WRONG = (None, True, -1, 0, 1e308, float("nan"), float("inf"), "", "x" * 300, "stylegan2", [], [[]], [None], {}, {"a": {"b": []}}, {1: 2}, {None: 3}, 10**30,
         "2024-01-01", ["gender", 3], {"gender": None}, "\u0000", b"bytes")  # fmt: skip


def mutated(data, luck):
    """Return the bytes with one to eight changes."""
    out = bytearray(data)
    for _ in range(luck.randint(1, 8)):
        at = luck.randrange(len(out) + 1)
        what = luck.randrange(5)
        if what == 0 and out:
            out[at % len(out)] = luck.randrange(256)
        elif what == 1:
            del out[at : at + luck.randint(1, 40)]
        elif what == 2:
            out[at:at] = out[at : at + luck.randint(1, 40)]
        elif what == 3:
            part = luck.choice(INTERESTING)
            out[at : at + len(part)] = part
        elif out:
            other = luck.randrange(len(out))
            size = luck.randint(1, 20)
            out[at : at + size] = out[other : other + size]
    return bytes(out)


def misfitted(tree, luck):
    """Return a YAML tree with one to three values, keys or items put wrong."""
    for _ in range(luck.randint(1, 3)):
        node = tree
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = luck.choice(keys)
            if isinstance(node[key], dict | list) and node[key] and luck.random() < 0.7:
                node = node[key]
                continue
            what = luck.randrange(4)
            if what == 0 and isinstance(node, dict):
                node[luck.choice(["source", "weights", "limits", "", "samples", 7, None, "base", "map"])] = luck.choice(WRONG)
            elif what == 1:
                del node[key]
            else:
                node[key] = luck.choice(WRONG)
            break
    return tree
