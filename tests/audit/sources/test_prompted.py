"""Text to image: which prompt an image has, what its record keeps, and a real pipeline where transformers is installed."""

import json
import warnings

import numpy as np
import pytest
import torch

from audit.errors import SourceError, SpecError
from audit.memory import ran_out_of_memory
from audit.seeds import image_seeds
from audit.sources.base import OK, REFUSED
from audit.sources.prompted import PromptedSource, fill_prompts

IDS = np.arange(5)
SEEDS = image_seeds(1, IDS)
JOBS = {"prompts": ["a photo of a {job}", "a {mood} {job}"], "fill": {"job": ["nurse", "pilot"], "mood": ["calm"]}}


class Stub:
    """A text-to-image pipeline that paints the first letters of the prompt and the first random number of the image."""

    scheduler = object()

    def to(self, device):
        return self

    def __call__(self, prompt, num_inference_steps=5, guidance_scale=7.5, generator=None, output_type="np"):
        assert len(prompt) == len(generator)
        self.asked = {"prompt": list(prompt), "guidance": guidance_scale, "steps": num_inference_steps}
        images = np.zeros((len(prompt), 4, 4, 3))
        for image, text, luck in zip(images, prompt, generator, strict=True):
            image[..., 0], image[..., 1] = ord(text[-1]) / 255, float(torch.rand(1, generator=luck))
        return type("Said", (), {"images": images})()


@pytest.fixture
def stubbed(monkeypatch, tmp_path):
    def make(**options):
        monkeypatch.setattr("audit.sources.diffusion.open_pipeline", lambda *a, **k: (Stub(), tmp_path))
        return PromptedSource("t2i", "x", **options)

    return make


def test_templates_and_words_make_every_prompt_in_the_order_written():
    assert [p for p, _ in fill_prompts("g", **JOBS)] == ["a photo of a nurse", "a photo of a pilot", "a calm nurse", "a calm pilot"]
    assert fill_prompts("g", ["a face"], None) == [("a face", {})]


def test_each_prompt_in_turn_is_asked_and_kept_in_the_record(stubbed):
    source = stubbed(**JOBS, guidance=3.0, steps=4)
    batch = source.draw(IDS, SEEDS)
    expected = ["a photo of a nurse", "a photo of a pilot", "a calm nurse", "a calm pilot", "a photo of a nurse"]
    assert source.pipeline.asked == {"prompt": expected, "guidance": 3.0, "steps": 4}
    assert batch.columns["prompt"].tolist() == batch.columns["unit"].tolist() == expected
    assert batch.columns["prompt:job"].tolist() == ["nurse", "pilot", "nurse", "pilot", "nurse"]
    assert batch.columns["prompt:mood"].tolist() == [None, None, "calm", "calm", None]
    assert batch.columns["template"].tolist() == ["a photo of a {job}"] * 2 + ["a {mood} {job}"] * 2 + ["a photo of a {job}"]
    assert batch.columns["refusal"].tolist() == [""] * 5
    assert "template" not in stubbed(prompts=["a {job}"], fill={"job": ["nurse", "pilot"]}).draw(IDS, SEEDS).columns


def test_an_image_depends_on_its_seed_and_id_whatever_its_batch(stubbed):
    source = stubbed(**JOBS)
    together = source.draw(IDS, SEEDS)
    for at in range(5):
        alone = source.draw(IDS[at : at + 1], SEEDS[at : at + 1])
        assert torch.equal(alone.images[0], together.images[at])
        assert alone.columns["prompt"][0] == together.columns["prompt"][at]
    assert not torch.equal(together.images[0], together.images[4])  # one prompt, two seeds


def test_images_of_a_single_prompt_are_their_own_units(stubbed):
    source = stubbed(prompts=["a face"])
    assert set(source.draw(IDS, SEEDS).columns) == {"prompt", "refusal"}
    assert source.caveats[0].startswith("drawn from one prompt")


class Strict(Stub):
    """Raises for pilots, flags the second image of a call, paints the third all black."""

    safety_checker, components = object(), ("safety_checker",)

    def __call__(self, prompt, **options):
        if any("pilot" in text for text in prompt):
            raise ValueError("this prompt is not allowed")
        said = super().__call__(prompt, **options)
        for image, text in zip(said.images, prompt, strict=True):
            image[...] = 0 if "night" in text else image
        said.nsfw_content_detected = ["nude" in text for text in prompt]
        return said


def test_a_refusal_is_a_result_with_its_reason_and_spoils_no_other_image(stubbed, monkeypatch):
    jobs = {"prompts": ["a {job}"], "fill": {"job": ["nurse", "pilot", "night", "nude", "baker"]}}
    free = stubbed(**jobs).draw(IDS, SEEDS)
    monkeypatch.setitem(globals(), "Stub", Strict)
    source = stubbed(**jobs)
    batch = source.draw(IDS, SEEDS)
    assert batch.status == [OK, REFUSED, REFUSED, REFUSED, OK]
    assert batch.columns["refusal"].tolist() == ["", "ValueError: this prompt is not allowed", "black image", "safety checker", ""]
    for at in range(5):
        assert batch.images[at].shape == free.images[at].shape
        assert torch.equal(batch.images[at], free.images[at]) or batch.status[at] == REFUSED
        alone = stubbed(**jobs).draw(IDS[at : at + 1], SEEDS[at : at + 1])
        assert (alone.status[0], alone.columns["refusal"][0]) == (batch.status[at], batch.columns["refusal"][at])
        assert torch.equal(alone.images[0], batch.images[at]) or at == 3
    assert "what it blocks is counted as refused" in " ".join(source.caveats)


@pytest.mark.parametrize("raised", [ValueError("no"), RuntimeError("CUDA error"), torch.OutOfMemoryError("out of memory"), TypeError("bad")])
def test_a_pipeline_that_draws_for_no_prompt_is_broken_and_not_strict(stubbed, monkeypatch, raised):
    def broken(self, prompt, num_inference_steps=5, guidance_scale=7.5, generator=None, output_type="np"):
        raise raised

    monkeypatch.setattr(Stub, "__call__", broken)
    with pytest.raises(SourceError, match="failed while drawing"):
        stubbed(**JOBS).draw(IDS, SEEDS)
    with pytest.raises(SourceError, match="failed while drawing"):
        stubbed(**JOBS).draw(IDS[:1], SEEDS[:1])


def test_memory_that_runs_out_on_a_processor_is_no_refusal(stubbed, monkeypatch):
    source, call = stubbed(**JOBS), Stub.__call__
    assert source.draw(IDS, SEEDS).status == [OK] * 5

    def narrow(self, prompt, **more):
        if len(prompt) > 1 or prompt == [source.prompts[1][0]]:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        return call(self, prompt, **more)

    monkeypatch.setattr(Stub, "__call__", narrow)
    for ids in (IDS, IDS[1:2]):  # the pass halves such a batch, and ends where one image is too many
        with pytest.raises(SourceError, match="can't allocate memory") as caught:
            source.draw(ids, SEEDS[: len(ids)])
        assert ran_out_of_memory(caught.value)


def test_a_pipeline_whose_device_fails_on_the_way_is_broken_and_its_prompts_are_not_refused(stubbed, monkeypatch):
    source = stubbed(**JOBS)
    assert source.draw(IDS, SEEDS).status == [OK] * 5

    def failed(self, prompt, num_inference_steps=5, guidance_scale=7.5, generator=None, output_type="np"):
        raise RuntimeError("an illegal memory access was encountered")

    monkeypatch.setattr(Stub, "__call__", failed)
    with pytest.raises(SourceError, match=r"failed while drawing .*illegal memory access"):
        source.draw(IDS, SEEDS)


class Letters:
    """A tokenizer of single letters, with marks of beginning and end."""

    model_max_length, eos_token_id = 8, 1

    def __call__(self, text, truncation=True, verbose=True):
        return {"input_ids": [0, *map(ord, text), 1]}

    def decode(self, ids):
        return "".join(map(chr, ids))


def test_prompts_that_the_tokenizer_cuts_are_said_with_what_is_never_read(stubbed, monkeypatch):
    monkeypatch.setattr(Stub, "tokenizer", Letters(), raising=False)
    source = stubbed(prompts=["abcdef", "abcdefg", "abcdefghij"])
    assert {p: (c.tokens, c.limit, c.unread) for p, c in source.cut.items()} == {"abcdefg": (9, 8, "g"), "abcdefghij": (12, 8, "ghij")}
    said = '2 of 3 prompts are longer than the 8 tokens that the pipeline reads, and are cut; it never sees their ends: "g"; "ghij"'
    assert said in source.caveats
    patient = Letters()
    patient.model_max_length = 100
    monkeypatch.setattr(Stub, "tokenizer_2", patient, raising=False)
    assert stubbed(prompts=["abcdefghij"]).cut == {}
    monkeypatch.setattr(Letters, "model_max_length", int(1e30))
    monkeypatch.setattr(patient, "model_max_length", int(1e30))
    assert stubbed(prompts=["abcdefghij"]).cut == {}


def test_the_digest_changes_with_prompts_and_guidance(stubbed):
    assert len({stubbed(**JOBS).digest, stubbed(**JOBS, guidance=2.0).digest, stubbed(prompts=["a face"]).digest}) == 3
    assert stubbed(**JOBS).digest == stubbed(**JOBS).digest


@pytest.mark.parametrize(("options", "words"), [
    ({"prompts": None}, "needs the key 'prompts'"),
    ({"prompts": ["a {job}"]}, r"fill: no words for the slot \{job\} of 'a \{job\}'; there are none"),
    ({"prompts": ["a {job}"], "fill": {"jobs": ["x"]}}, r"no words for the slot \{job\} .* there are jobs"),
    ({"prompts": ["a face"], "fill": {"job": ["x"]}}, r"job is in no prompt; expected a \{slot\}"),
    ({"prompts": ["a {job"], "fill": {"job": ["x"]}}, "is no template"),
    ({"prompts": ["a {}"], "fill": {"job": ["x"]}}, "no words for the slot"),
    ({"prompts": ["a {job.__class__}"], "fill": {"job": ["x"]}}, r"no words for the slot \{job\.__class__\}"),
    ({"prompts": ["a face", "a face"]}, "'a face' occurs more than once"),
])  # fmt: skip
def test_templates_and_words_that_do_not_go_together_are_sentences(stubbed, options, words):
    with pytest.raises(SpecError, match=words):
        stubbed(**options)


def test_a_pipeline_that_takes_no_prompt_or_no_guidance_is_a_sentence(stubbed, monkeypatch):
    monkeypatch.setattr(Stub, "__call__", lambda self, prompt, generator=None, output_type="np": None)
    with pytest.raises(SpecError, match="a Stub has none; leave it out"):
        stubbed(prompts=["a face"], guidance=2.0)
    monkeypatch.setattr(Stub, "__call__", lambda self, batch_size, generator=None, output_type="np": None)
    with pytest.raises(SourceError, match="a Stub takes no prompt; say source: diffusion"):
        stubbed(prompts=["a face"])
    monkeypatch.setattr(Stub, "__call__", lambda self, prompt, image, generator=None, output_type="np": None)
    with pytest.raises(SourceError, match="a Stub needs image beside the prompt"):
        stubbed(prompts=["a face"])


def stable_diffusion(folder):
    """Write a tiny Stable Diffusion with a tokenizer of single letters."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    torch.manual_seed(0)
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = [*letters, *(c + "</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    text = CLIPTextModel(CLIPTextConfig(vocab_size=len(words), hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
                                        max_position_embeddings=16, bos_token_id=52, eos_token_id=53, pad_token_id=53))  # fmt: skip
    unet = UNet2DConditionModel(sample_size=8, layers_per_block=1, block_out_channels=(8, 8), norm_num_groups=4, cross_attention_dim=8,
                                attention_head_dim=2, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))  # fmt: skip
    vae = AutoencoderKL(latent_channels=4, block_out_channels=(8, 8), norm_num_groups=4, down_block_types=("DownEncoderBlock2D",) * 2,
                        up_block_types=("UpDecoderBlock2D",) * 2)  # fmt: skip
    scheduler = DDIMScheduler(num_train_timesteps=20, steps_offset=1, clip_sample=False)
    pipe = StableDiffusionPipeline(vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=scheduler, safety_checker=None,
                                   feature_extractor=None, requires_safety_checker=False)  # fmt: skip
    pipe.save_pretrained(folder / "sd")
    return folder / "sd"


def test_a_real_pipeline_draws_each_image_from_its_prompt_and_seed(tmp_path):
    pytest.importorskip("transformers", reason="text encoders need transformers: install genbias[text]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = stable_diffusion(tmp_path / "made")
        source = PromptedSource("t2i", str(folder), **JOBS, steps=2, guidance=4.0)
    together = source.draw(IDS, SEEDS)
    alone = source.draw(IDS[3:4], SEEDS[3:4])
    assert int((alone.images[0].int() - together.images[3].int()).abs().max()) <= 1
    other = PromptedSource("t2i", str(folder), prompts=["zzz"], steps=2, guidance=4.0).draw(IDS[3:4], SEEDS[3:4])
    assert not torch.equal(other.images[0], alone.images[0])  # the same seed, another prompt
    assert "the pipeline has no safety checker" in source.caveats
    assert source.cut == {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        long = PromptedSource("t2i", str(folder), prompts=["abcdefghijklmnopqrst"], steps=2)
        same = PromptedSource("t2i", str(folder), prompts=["abcdefghijklmnopqrzz"], steps=2)
    (cut,) = long.cut.values()
    assert (cut.limit, cut.unread.replace(" ", "")) == (16, "opqrst")  # sixteen tokens, two of them marks
    assert torch.equal(long.draw(IDS[:1], SEEDS[:1]).images[0], same.draw(IDS[:1], SEEDS[:1]).images[0])  # as the caveat says


def test_without_transformers_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    import sys

    (tmp_path / "text_encoder").mkdir()
    index = {"_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", "DDIMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"]}
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SourceError, match=r"is a CLIPTextModel of transformers, which is not installed; install genbias\[text\]"):
        PromptedSource("t2i", str(tmp_path), prompts=["a face"])
