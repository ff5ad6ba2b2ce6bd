"""The specs that ship: each is valid, names what exists, and runs from end to end with tiny stand-ins in the real formats."""

import os
import warnings
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import audit
from audit.attributes import ATTRIBUTES, parts
from audit.generators.stylegan2 import StyleGAN2
from audit.generators.weights import save_weights
from audit.manifests import load_manifest
from audit.spec import load_spec

SPECS = sorted(p.name.removesuffix(".yaml") for p in (resources.files("audit") / "specs").iterdir() if p.name.endswith(".yaml"))
GOLDEN = Path(os.environ.get("GENBIAS_GOLDEN") or Path(__file__).resolve().parents[3] / "shared" / "golden")
N = 24


def test_the_specs_that_are_promised_ship():
    assert {"ffhq_stylegan2", "celebahq_diffusion", "cifar10_longtail", "text_to_image_occupations"} <= set(SPECS)


@pytest.mark.parametrize("name", SPECS)
def test_a_shipped_spec_is_valid_and_every_manifest_it_names_exists(name):
    spec = load_spec(name)
    assert spec.name == name
    readers = [r.manifest for role in ("classifier", "second_rater") for r in spec.instruments.readers(role)]
    for one in [*readers, *([spec.instruments.encoder] if spec.instruments.encoder else [])]:
        if not one.startswith(("portraits", "runs/")):
            assert load_manifest(one).contract.input is not None
    for generator in spec.generators.values():
        if generator.weights and "/" not in generator.weights and "." not in generator.weights and generator.source != "text_to_image":
            assert load_manifest(generator.weights).kind == "generator"
    read = [h.attribute for r in _classifiers(spec) for h in load_manifest(r.manifest).contract.output.heads if h.attribute in (r.attributes or [h.attribute])]
    if read:
        assert {p for a in spec.attributes for p in parts(a)} <= {*read, "skin_tone"}
        assert len(read) == len(set(read)), "two classifiers read one attribute"


def _classifiers(spec):
    return [r for r in spec.instruments.readers("classifier") if not r.manifest.startswith(("portraits", "runs/"))]


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    """Write a tiny network under the contract of a shipped classifier's manifest; return the path of its own manifest."""
    from torchvision.models import mobilenet_v3_small

    root = tmp_path_factory.mktemp("classifiers")

    def make(name):
        shipped = load_manifest(name)
        columns = shipped.parameters.get("num_classes") or 1 + max(c for h in shipped.contract.output.heads for c in h.columns)
        torch.manual_seed(0)
        torch.save(mobilenet_v3_small(num_classes=columns).state_dict(), root / f"{name}.pt")
        content = shipped.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        content["contract"]["input"] |= {"size": 32, "crop": {"from": "image"}}
        content |= {"name": "stand_in", "files": [{"name": f"{name}.pt", "path": f"{name}.pt"}], "format": "state_dict",
                    "architecture": "torchvision.mobilenet_v3_small", "parameters": {"num_classes": columns}}  # fmt: skip
        (root / f"{name}.yaml").write_text(yaml.safe_dump(content))
        return str(root / f"{name}.yaml")

    return make


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for i in range(N):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return str(folder)


def carried_out(name, tmp_path, stand_in, **changes):
    classifier = [{"manifest": stand_in(r.manifest), "attributes": r.attributes} for r in load_spec(name).instruments.readers("classifier")]
    encoder = {"instruments__encoder": "portraits"} if load_spec(name).instruments.encoder else {}
    result = audit.run(name, out=tmp_path / "run", samples=N, device="cpu", instruments__classifier=classifier,
                       instruments__face_finder=None, gallery=3, batch=12, **encoder, **changes)  # fmt: skip
    frame = result.frame()
    for attribute in load_spec(name).attributes:
        for generator in load_spec(name).generators:
            rows = frame[(frame.generator == generator) & (frame.attribute == attribute) & (frame.metric == "share")]
            cells = np.prod([ATTRIBUTES[p].k for p in parts(attribute)])
            assert set(rows.group) and len(set(rows.group)) == cells, f"{generator}: shares of {attribute}"
    return result, frame


def stylegan2(path):
    torch.manual_seed(0)
    network = {"z_dim": 8, "w_dim": 8, "resolution": 16, "channels": {4: 8, 8: 8, 16: 8}, "mapping_layers": 2}
    save_weights(StyleGAN2(**network), path, kind="stylegan2", network=network)
    return path


@pytest.mark.parametrize("layout", ["safetensors", "pickle"])
def test_ffhq_stylegan2_runs_from_end_to_end(tmp_path, stand_in, photographs, layout):
    if layout == "pickle":
        weights = GOLDEN / "stylegan2_ada_unconditional.pkl"
        if not weights.is_file():
            pytest.skip(f"no pickle in the official format at {GOLDEN}")
    else:
        weights = stylegan2(tmp_path / "g.safetensors")
    _, frame = carried_out("ffhq_stylegan2", tmp_path, stand_in, reference__path=photographs, reference__samples=N,
                           generators__ffhq__weights=str(weights), generators__truncated__weights=str(weights))  # fmt: skip
    assert not frame[(frame.metric == "fid") & (frame.generator == "truncated")].empty


def test_celebahq_diffusion_runs_from_end_to_end(tmp_path, stand_in, photographs):
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    unet = UNet2DModel(sample_size=16, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4,
                       down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        DDPMPipeline(unet, DDPMScheduler(num_train_timesteps=100)).save_pretrained(tmp_path / "ddpm")
    result, frame = carried_out("celebahq_diffusion", tmp_path, stand_in, reference__path=photographs, reference__samples=N,
                                generators__ddpm__weights=str(tmp_path / "ddpm"), generators__ddpm__steps=2)  # fmt: skip
    assert frame[(frame.attribute == "smile") & (frame.metric == "share")]["value"].notna().all()
    assert any("DDIMScheduler, 2 steps" in c for c in result.generators[0]["caveats"])


class Painter:
    """A text-to-image pipeline that paints noise; the real one needs transformers, see test_prompted."""

    scheduler = object()

    def to(self, device):
        return self

    def __call__(self, prompt, num_inference_steps=5, generator=None, output_type="np"):
        images = [torch.rand(16, 16, 3, generator=g).numpy() for g in generator]
        return type("Said", (), {"images": np.stack(images)})()


def test_text_to_image_occupations_runs_from_end_to_end_with_prompts_as_units(tmp_path, stand_in, monkeypatch):
    monkeypatch.setattr("audit.sources.diffusion.open_pipeline", lambda *a, **k: (Painter(), tmp_path))
    result, _ = carried_out("text_to_image_occupations", tmp_path, stand_in, generators__t2i__weights="./pipeline")
    from audit.records import Run

    rows = Run(result.path).frame("t2i")
    assert rows["prompt"].nunique() == 20
    assert (rows["prompt"] == rows["unit"]).all()
    assert rows["prompt:occupation"].iloc[0] == "accountant"
    (found,) = result.study["generators"]
    assert [a["attribute"] for a in found["attributes"]] == ["gender", "skin_tone", "age", "gender*skin_tone"]
    assert sum(p["images"] for p in found["prompts"]) == N
