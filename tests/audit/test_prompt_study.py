"""The study of prompts on a pipeline that draws portraits, whose answers to each prompt were chosen."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import audit
from audit.errors import SpecError
from audit.portraits import draw, population

SHARES = {"nurse": 0.95, "pilot": 0.05, "baker": 0.5}
JOBS = ["nurse", "pilot", "baker", "spy"]
N = 240


class Portraitist:
    """Draws women for nurses and men for pilots, and nobody for spies in the second template."""

    scheduler, safety_checker, components = object(), object(), ("safety_checker",)

    def to(self, device):
        return self

    def __call__(self, prompt, num_inference_steps=5, generator=None, output_type="np"):
        if any("photo of a spy" in text for text in prompt):
            raise ValueError("no spies")
        luck = np.array([[float(torch.rand(1, generator=g)) for _ in range(2)] for g in generator])
        seeds = (luck[:, 1] * 2**31).astype(np.uint64)
        truth = pd.DataFrame(population("balanced").for_seeds(seeds))
        share = np.array([next((s for j, s in SHARES.items() if j in text), 0.5) for text in prompt])
        truth["gender"] = np.where(luck[:, 0] < share, "feminine", "masculine")
        images = draw(truth, seeds).permute(0, 2, 3, 1).numpy() / 255
        return type("Said", (), {"images": images, "nsfw_content_detected": ["spy" in t and luck[i, 0] < 0.5 for i, t in enumerate(prompt)]})()


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    root = tmp_path_factory.mktemp("prompts")
    patch.setattr("audit.sources.diffusion.open_pipeline", lambda *a, **k: (Portraitist(), root))
    spec = {"name": "jobs", "samples": N, "attributes": ["gender", "gender*smile"], "gallery": 0, "batch": 30,
            "instruments": {"classifier": "portraits_a"}, "study": {"kind": "prompts"},
            "generators": {"t2i": {"source": "text_to_image", "weights": "./x", "prompts": ["a {job}", "a photo of a {job}", "the {job}"],
                                   "fill": {"job": JOBS}}}}  # fmt: skip
    yield audit.run(spec_of(spec), out=root / "run", device="cpu")
    patch.undo()


def spec_of(content):
    from audit.spec import Spec

    return Spec.model_validate(content)


def found(result, attribute="gender"):
    (generator,) = result.study["generators"]
    return generator, next(a for a in generator["attributes"] if a["attribute"] == attribute)


def test_the_shares_that_were_planted_lie_in_the_intervals_of_their_prompts(result):
    generator, gender = found(result)
    for prompt, row in zip(generator["prompts"], gender["prompts"], strict=True):
        if row["n"]:
            share = SHARES.get(prompt["words"]["job"], 0.5)
            if prompt["words"]["job"] != "spy":
                for kind in ("shares", "corrected"):
                    assert row[kind][0]["low"] <= share <= row[kind][0]["high"], f"{prompt['prompt']}, {kind}"
    by_job = {p["words"]["job"]: row for p, row in zip(generator["prompts"][:3], gender["prompts"][:3], strict=True)}
    assert by_job["nurse"]["differences"][0]["low"] > 0 > by_job["pilot"]["differences"][0]["high"]
    assert by_job["baker"]["differences"][0]["low"] < 0 < by_job["baker"]["differences"][0]["high"]


def test_that_prompts_differ_is_found_with_images_and_that_jobs_do_with_prompts_as_units(result):
    _, gender = found(result)
    assert gender["test"]["p_adjusted"] <= 0.01
    assert gender["test"]["units"] == gender["n"]
    job = gender["words"]["job"]
    assert job["units"] == 11  # twelve prompts, one of which was refused altogether
    assert job["p_value"] <= 0.05
    tests = [t for a in result.study["generators"][0]["attributes"] for t in (a["test"], *a["words"].values())]
    assert all(t["p_adjusted"] >= t["p_value"] for t in tests)


def test_refusals_are_counted_by_prompt_with_their_reasons_and_bound_the_shares(result):
    generator, gender = found(result)
    prompts = {p["prompt"]: (p, row) for p, row in zip(generator["prompts"], gender["prompts"], strict=True)}
    never, row = prompts["a photo of a spy"]
    assert (never["images"], never["count_refused"], never["reasons"]) == (20, 20, {"ValueError: no spies": 20})
    assert never["refused"]["high"] == 1 and never["refused"]["low"] > 0.7
    assert row["n"] == 0 and row["shares"][0]["value"] is None and row["shares"][0]["reason"]
    some, row = prompts["a spy"]
    assert 0 < some["count_refused"] < 20 and set(some["reasons"]) == {"safety checker"}
    assert row["missing"] == some["count_refused"] and row["n"] == 20 - some["count_refused"]
    feminine, masculine = row["shares"]  # it is the women that are refused, and only the bounds know that they may have been there
    assert feminine["value"] == 0 and feminine["high"] < row["bounds"][0]["high"]
    assert row["bounds"][1]["low"] < masculine["low"] - 0.1
    assert prompts["a nurse"][0]["count_refused"] == 0 and prompts["a nurse"][1]["bounds"] is None
    assert generator["refusals"]["p_adjusted"] <= 0.01
    assert sum(p["images"] for p in generator["prompts"]) == N


def test_the_whole_is_the_share_of_the_run_and_cells_of_intersections_add_up(result):
    frame = result.frame()
    for attribute, k in (("gender", 2), ("gender*smile", 4)):
        _, rows = found(result, attribute)
        shares = frame[(frame.metric == "share") & (frame.attribute == attribute) & ~frame.corrected]
        assert rows["whole"] == pytest.approx(shares.value.tolist())
        assert len(rows["classes"]) == k
    assert json.loads(json.dumps(result.study, allow_nan=False)) == result.study


def test_a_spec_without_prompts_has_nothing_to_study(tmp_path):
    spec = spec_of({"name": "x", "samples": 4, "gallery": 0, "attributes": ["gender"], "instruments": {"classifier": "portraits_a"},
                    "generators": {"a": {"source": "portraits", "population": "balanced"}}, "study": {"kind": "prompts"}})  # fmt: skip
    with pytest.raises(SpecError, match="prompts needs generators of source 'text_to_image'; this spec has none"):
        audit.run(spec, out=tmp_path / "run", device="cpu")


def test_the_page_and_the_summary_say_what_was_found_what_was_refused_and_show_every_prompt(result):
    from reports import studies

    whole = json.loads((result.path / "result.json").read_text())
    title, page = studies.section(whole)
    _, text = studies.markdown(whole)
    assert title == "By prompt"
    assert "Perceived gender presentation differs between the 12 prompts (adjusted p" in page
    assert "labelled feminine from" in page or "labelled masculine from" in page
    assert "were refused, and are missing from the shares. 1 prompt was refused altogether." in page
    assert "The word for job matters for perceived gender presentation beside the rest of the prompt" in page
    assert page.count("<svg") == 1  # two classes are one figure, and cells of intersections are in the tables
    for prompt in whole["study"]["generators"][0]["prompts"]:
        assert prompt["prompt"] in page
    assert "no spies" in page
    assert text.startswith("- Perceived gender presentation differs between the 12 prompts")
