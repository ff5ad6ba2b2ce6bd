"""A hand-made result of six generators, with what reports stumble over: an empty cell, refusals, missing rows."""

import copy
import json
import math
import struct
import zlib

import pytest

ATTRIBUTES = {
    "gender": {
        "title": "Perceived gender presentation",
        "classes": ["feminine", "masculine"],
        "caveat": "How a face is read by a classifier, not a person's gender; two classes are its limit.",
    },
    "skin_tone": {
        "title": "Skin tone",
        "classes": ["light", "medium", "dark"],
        "caveat": "Monk tones 1-3, 4-6 and 7-10 as they appear in the image; lighting moves it; it is not race.",
    },
    "age": {
        "title": "Perceived age",
        "classes": ["young", "middle", "old"],
        "caveat": "Apparent age group of a drawn face.",
    },
    "smile": {"title": "Smile", "classes": ["neutral", "smiling"], "caveat": "The shape of the mouth, not an emotion."},
}
GENERATORS = [
    ("stylegan2", "StyleGAN2", None),
    ("self_conditioned", "Self-conditioned", "stylegan2"),
    ("rebalanced", "Rebalanced", "stylegan2"),
    ("magnet", "MaGNET sampling", "stylegan2"),
    ("diffusion", "Latent diffusion", None),
    ("gmm_diffusion", "Gaussian mixture", "diffusion"),
]
SHARES = {  # what the classifier said of each generator above: all classes but the last, which is the rest
    "gender": [[0.782], [0.561], [0.512], [0.668], [0.744], [0.548]],
    "skin_tone": [[0.71, 0.21], [0.47, 0.29], [0.352, 0.331], [0.52, 0.28], [0.66, 0.24], [0.41, 0.33]],
    "age": [[0.62, 0.30], [0.45, 0.33], [0.36, 0.32], [0.51, 0.31], [0.58, 0.31], [0.39, 0.35]],
    "smile": [[0.41], [0.47], [0.496], [0.44], [0.39], [0.47]],
}
QUALITY = [
    (11.2, 0.74, 0.52),
    (14.9, 0.70, 0.49),
    (12.6, 0.73, 0.55),
    (15.8, 0.66, 0.58),
    (9.7, 0.78, 0.50),
    (10.9, 0.76, 0.53),
]
N = 2000


def png(side=64, shade=120):
    """Return the bytes of a small PNG, made by hand so that the tests need no imaging library."""
    rows = b"".join(
        b"\x00" + bytes((shade, x // 16 * 60, y // 16 * 60)[c] for x in range(side) for c in range(3))
        for y in range(side)
    )

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def measure(generator, metric, value, half=0.0, **more):
    """Return one row of measures."""
    row = {
        "generator": generator,
        "metric": metric,
        "attribute": None,
        "group": None,
        "value": value,
        "low": None if value is None else value - half,
        "high": None if value is None else value + half,
        "level": 0.95,
        "n": N,
        "unit": "share",
        "parity": None,
        "direction": "lower",
        "method": "box of simultaneous class intervals",
        "protocol": None,
        "corrected": False,
        "reason": None,
    }
    return row | more


def share_rows(generator, attribute, groups, values, corrected):
    """Return a row of measures for each class, clipped to 0..1."""
    rows = []
    for group, value in zip(groups, values, strict=True):
        half = 2.24 * math.sqrt(value * (1 - value) / N) * (1.4 if corrected else 1.0)
        rows.append(
            measure(
                generator,
                "share",
                value,
                half,
                attribute=attribute,
                group=group,
                parity=1 / len(groups),
                direction="target",
                low=max(0.0, value - half),
                high=min(1.0, value + half),
                corrected=corrected,
                method="Clopper-Pearson, Bonferroni over classes"
                + (", calibration by parametric bootstrap" if corrected else ""),
            )
        )
    return rows


def discrepancy(values):
    """Return the distance of shares from uniform."""
    return math.sqrt(sum((v - 1 / len(values)) ** 2 for v in values))


def whole(parts):
    """Return shares with the rest as the last class."""
    return [*parts, 1 - sum(parts)]


def attribute_rows(i, generator):
    """Return the measures of every attribute and intersection of one generator, raw and corrected."""
    rows = []
    told = {name: whole(SHARES[name][i]) for name in ATTRIBUTES}
    for name, shares in told.items():
        classes = ATTRIBUTES[name]["classes"]
        pulled = [s + (s - 1 / len(shares)) * 0.06 for s in shares]
        for corrected, values in ((False, shares), (True, pulled)):
            rows += share_rows(generator, name, classes, values, corrected)
            fd, more = discrepancy(values), {"attribute": name, "corrected": corrected, "parity": 0.0}
            rows.append(
                measure(generator, "fairness_discrepancy", fd, 0.03, low=max(0.0, fd - 0.03), high=fd + 0.03, **more)
            )
            rows.append(measure(generator, "entropy", sum(-v * math.log(v) for v in values), 0.01, unit="nats", **more))
        rows.append(measure(generator, "agreement", 0.93, 0.011, attribute=name, method="Wilson", direction="higher"))
    pair = ("gender", "skin_tone")
    cells = [f"{a}*{b}" for a in ATTRIBUTES[pair[0]]["classes"] for b in ATTRIBUTES[pair[1]]["classes"]]
    joint = [a * b for a in told[pair[0]] for b in told[pair[1]]]
    if i == 0:  # nobody in the last cell
        joint = [joint[0] + joint[-1], *joint[1:-1], 0.0]
    rows += share_rows(generator, "*".join(pair), cells, joint, False)
    if i == 0:  # an empty cell is measured: none of 2000; its interval says how many there may be
        rows[-1]["high"] = 0.0018
    rows.append(
        measure(generator, "fairness_discrepancy", discrepancy(joint), 0.02, attribute="*".join(pair), parity=0.0)
    )
    rows.append(measure(generator, "bias_amplification", 0.021, 0.02, attribute="gender", group="feminine", parity=0.0))
    return rows


def quality_rows(i, generator):
    """Return quality against two references, with what could not be measured."""
    fid, precision, recall = QUALITY[i]
    rows = []
    for reference, extra in (("balanced", 0.0), ("training", -2.1 if i in (0, 4) else 3.4)):
        more = {
            "group": f"reference:{reference}",
            "method": "bootstrap of stored features",
            "protocol": f"portraits encoder, 64 px, n={N}, reference {reference}",
        }
        rows += [
            measure(generator, "fid", fid + extra, 0.6, unit="distance", **more),
            measure(generator, "kid", (fid + extra) / 4000, 0.0004, unit="distance", **more),
            measure(generator, "precision", precision, 0.02, direction="higher", **more),
            measure(generator, "recall", recall, 0.03, direction="higher", **more),
            measure(generator, "density", precision * 1.2, 0.04, unit="ratio", direction="higher", **more),
            measure(generator, "coverage", recall + 0.3, 0.02, direction="higher", **more),
        ]
    group = {"attribute": "skin_tone", "group": "dark", "unit": "distance", "method": "", "low": None, "high": None}
    rows.append(measure(generator, "group_fid", None, n=41, reason="41 images of this group, 200 are needed", **group))
    return rows


def compared(i, candidate, baseline):
    """Return the comparisons of one candidate with its baseline: both readers, shares, quality, groups, one refusal."""
    base = 0 if baseline == "stylegan2" else 4
    row = {"generator": candidate, "baseline": baseline, "attribute": None, "group": None, "level": 0.95, "n": N, "reason": None,
           "unit": "distance", "method": "paired", "p_value": 0.0001, "p_adjusted": 0.0004, "reader": None, "corrected": False}  # fmt: skip

    def change(metric, before, after, half, **more):
        d = after - before
        return row | {"metric": metric, "before": before, "after": after, "difference": d, "low": d - half, "high": d + half} | more

    rows = []
    for name, info in ATTRIBUTES.items():
        told = [whole(SHARES[name][at]) for at in (base, i)]
        for reader, corrected, shrink in (("classifier", True, 1.0), ("classifier", False, 0.98), ("second_rater", False, 0.94)):
            by = {"attribute": name, "reader": reader, "corrected": corrected}
            rows.append(change("fairness_discrepancy", *(shrink * discrepancy(v) for v in told), 0.04, **by))
            shares = [[v[k] for v in told] for k in range(len(told[0]))]
            rows += [
                change("share", *pair, 0.028, **by, group=c, unit="share")
                for c, pair in zip(info["classes"], shares, strict=True)
            ]
    refused = {"after": None, "difference": None, "low": None, "high": None, "p_value": None, "p_adjusted": None, "n": 0}
    for reference, extra in (("balanced", 0.0), ("training", 1.0)):
        more = {"group": f"reference:{reference}"}
        for metric, at, half in (("fid", 0, 0.7), ("precision", 1, 0.02), ("recall", 2, 0.03)):
            rows.append(change(metric, QUALITY[base][at] + extra * (at == 0), QUALITY[i][at], half, **more, unit="share" if at else "distance"))
        rows.append(change("coverage", QUALITY[base][2] + 0.3, QUALITY[i][2] + 0.3, 0.02, **more, unit="share"))
    rows.append(change("group_coverage", 0.41, 0.63 + 0.01 * i, 0.05, attribute="skin_tone", group="dark", unit="share"))
    rows.append(change("identity_similarity", 0.05, 0.05 + 0.01 * (i - 3), 0.004, unit="ratio"))
    rows.append(change("kid", 0.01, 0.0, 0.0, group="reference:balanced") | refused | {"reason": "protocols differ: n=2000 against n=1999"})
    return rows


METHODS = {
    "rebalanced": {
        "method": "rebalancing", "title": "Rebalancing by latent-space search", "paper": "Example and Other 2023, arXiv 2301.00000",
        "sentence": "Searches the latent space for images of each group, then trains the generator again on equal numbers of them.",
        "uses": "labels of portraits_b",
        "facts": [
            {"name": "Images found by search", "value": 12000, "unit": "", "note": "of 12,000 asked for"},
            {"name": "Share kept", "value": 0.314, "unit": "share", "note": "of those looked at"},
            {"name": "Search time", "value": 912.4, "unit": "s", "note": ""},
            {"name": "Duplicates", "value": None, "unit": "", "note": "not looked for"},
        ],
        "charts": [
            {"title": "Images found in each group", "kind": "bar", "x": ["feminine light", "feminine dark", "masculine light", "masculine dark"],
             "y": [3000, 3000, 3000, 2987.0], "x_label": "group, as labelled by portraits_b", "y_label": "images"},
            {"title": "Loss while training again", "kind": "line", "x": list(range(0, 64000, 1600)),
             "y": [1.4 - 0.3 * (k / 40) ** 0.5 for k in range(40)], "x_label": "images shown", "y_label": "loss"},
        ],
        "cost": {"calls_per_image": 1.0, "fitting_calls": 38214, "fitting_seconds": 1840.0, "training_images": 64000},
        "caveats": ["One training seed: another run may differ by more than the intervals say."],
    },
    "magnet": {
        "method": "magnet", "title": "MaGNET sampling", "paper": "Humayun, Balestriero and Baraniuk 2022, arXiv 2110.08009",
        "sentence": "Draws latents in proportion to how much the generator stretches space around them, without labels.",
        "uses": "no labels",
        "facts": [
            {"name": "Effective sample size", "value": 412.7, "unit": "of 50,000", "note": "Kish; equal weights would give all of them"},
            {"name": "Largest weight", "value": 0.0131, "unit": "", "note": ""},
        ],
        "charts": [
            {"title": "Weights of the latents", "kind": "histogram", "x": [-8, -6, -4, -2, 0, 2, 4], "y": [40, 900, 8000, 9000, 1900, 160],
             "x_label": "log of the weight", "y_label": "latents"},
        ],
        "cost": {"calls_per_image": 1.0, "fitting_calls": 6400000, "fitting_seconds": 410.0, "training_images": 0},
        "caveats": [],
    },
}  # fmt: skip
"""What two of the generators say of how they were made."""


def verdict(generator, attribute, outcome, value, why):
    """Return one verdict on a fairness discrepancy at most 0.10."""
    return {
        "limit": f"fairness_discrepancy of {attribute} at most 0.10",
        "generator": generator,
        "metric": "fairness_discrepancy",
        "attribute": attribute,
        "group": None,
        "bound": 0.10,
        "value": value,
        "low": max(0.0, value - 0.03),
        "high": value + 0.03,
        "outcome": outcome,
        "why": why,
    }


def build():
    """Return the whole example as result.json would hold it."""
    generators, measures, comparisons, gallery = [], [], [], {}
    for i, (name, title, against) in enumerate(GENERATORS):
        lost = {"no_face": 4 * i, "several_faces": i, "unreadable": 2 if i == 4 else 0}
        generators.append(
            {
                "name": name,
                "title": title,
                "baseline": against is None,
                "compare_to": against,
                "images": N,
                "readable": N - sum(lost.values()),
                **lost,
                "caveats": ["Trained on drawn portraits at 64 x 64."] if i < 2 else [],
                "files_unreadable": ["a.jpg: truncated", "b.png: not an image"] if i == 4 else [],
                "method": copy.deepcopy(METHODS.get(name)),
            }
        )
        measures += [
            measure(name, k, v / N, 0.002, low=0.0, high=v / N + 0.002, method="Wilson") for k, v in lost.items()
        ]
        measures += attribute_rows(i, name) + quality_rows(i, name)
        comparisons += compared(i, name, against) if against else []
        gallery[name] = [
            {
                "id": k,
                "file": f"gallery/{name}/{k:07d}.png",
                "group": None if k < 8 else "skin_tone=dark",
                "monk": 1 + k % 10,
                "labels": {
                    a: {"label": d["classes"][k % len(d["classes"])], "p": 0.6 + 0.04 * (k % 10)}
                    for a, d in ATTRIBUTES.items()
                },
            }
            for k in range(12)
        ]
    return {
        "schema": "genbias.result/1",
        "name": "embedded",
        "provenance": {
            "created": "2026-11-22T10:00:00+00:00",
            "genbias": "0.1.0",
            "commit": "0123abc",
            "python": "3.12.4",
            "device": "cpu",
            "packages": {"torch": "2.15.0", "numpy": "2.4.6"},
            "platform": "Linux",
            "seed": 20261122,
            "spec_digest": "ab" * 32,
            "command": "genbias run embedded",
            "caveats": ["The faces are drawn; no person is in them."],
            "weights": [{"name": "portraits/stylegan2", "role": "generator", "sha256": "cd" * 32, "licence": "MIT"}],
        },
        "spec": {"version": 1, "name": "embedded", "seed": 20261122, "samples": N, "target": "uniform",
                 "instruments": {"classifier": "portraits_a", "second_rater": "portraits_b"}},
        "attributes": copy.deepcopy(ATTRIBUTES),
        "generators": generators,
        "measures": measures,
        "comparisons": comparisons,
        "verdicts": [
            verdict("stylegan2", "gender", "broken", 0.42, "the whole interval lies above 0.10"),
            verdict("rebalanced", "gender", "held", 0.02, "the whole interval lies below 0.10"),
            verdict(
                "self_conditioned",
                "gender",
                "undecided",
                0.09,
                "0.10 lies inside the interval; about 3,100 images would decide",
            ),
        ],
        "gallery": gallery,
        "timings": {
            "seconds": {"draw": 212.0, "read": 96.0, "measure": 21.0, "total": 335.0},
            "images_per_second": 35.8,
            "peak_memory_bytes": 1_910_000_000,
        },
    }


@pytest.fixture
def example():
    """A fresh copy of the example result, free to be changed."""
    return build()


@pytest.fixture
def small(example):
    """The example cut to two generators and two attributes, quick to draw."""
    names = [row["name"] for row in example["generators"][:2]]
    example["generators"] = example["generators"][:2]
    example["attributes"] = {name: example["attributes"][name] for name in ("gender", "age")}
    example["gallery"] = {name: example["gallery"][name] for name in names}
    example["measures"] = [
        row for row in example["measures"]
        if row["generator"] in names and row["attribute"] in (None, "gender", "age", "gender*skin_tone")
    ]  # fmt: skip
    example["comparisons"] = [row for row in example["comparisons"] if row["generator"] in names]
    return example


@pytest.fixture
def run_dir(tmp_path, example):
    """A run directory holding the example result and its thumbnails."""
    (tmp_path / "result.json").write_text(json.dumps(example), encoding="utf-8")
    for i, samples in enumerate(example["gallery"].values()):
        for sample in samples:
            file = tmp_path / sample["file"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(png(shade=40 * i))
    return tmp_path


@pytest.fixture(scope="session")
def builder():
    """The function that makes the example, for tests that share one page."""
    return build
