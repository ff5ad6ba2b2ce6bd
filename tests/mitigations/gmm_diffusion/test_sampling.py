"""The sampler a spec names, and the command that makes its fit: options, refusals, caching."""

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from audit.errors import SourceError, SpecError
from audit.generators.weights import save_weights
from audit.seeds import image_seeds
from audit.sources.callable import CallableSource
from audit.sources.latent import LatentSource
from mitigations.gmm_diffusion import making, sampler
from mitigations.gmm_diffusion.command import command
from mitigations.gmm_diffusion.settings import settings_of

SMALL = {"attribute": "smile", "start": 2, "dims": 4, "components": 1, "pool": 120, "min_per_cell": 10, "draws": 20, "verify": 40}


@pytest.fixture
def labelled(monkeypatch, reader):
    """Let the toy reader stand in for the classifier, wherever one is opened."""
    for module in ("mitigations.gmm_diffusion.making", "mitigations.gmm_diffusion.sampling"):
        monkeypatch.setattr(f"{module}.Labeller", lambda *a, **k: reader)
    return reader


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"taps": "x_t"}, "unknown option 'taps'; there are assets, attribute"),
        ({"tap": "x_0"}, "tap is 'x_0'; expected x_T or x_t or h"),
        ({"pool": "many"}, "pool is 'many'; expected a whole number, at least 2"),
        ({"pool": True}, "pool is True"),
        ({"dims": 0}, "dims is 0; expected a whole number, at least 1"),
        ({"components": [1, "2"]}, "components is"),
        ({"components": []}, "components is"),
        ({"tau": 0}, "tau is 0; expected a number above 0"),
        ({"covariance": "tied"}, "covariance is 'tied'; expected full or diagonal"),
        ({"attribute": ["gender"]}, "attribute is"),
        ({"verifier": 2}, "verifier is 2; expected a name"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"tap": "h", "complement": "gaussian"}, "with h it is 'own'"),
        ({"fit": 3}, "fit is 3; expected a file, or portraits/NAME"),
        ({"fit": "x.npz", "tau": 0.5}, "'tau' beside fit"),
        ({"target": "even", **SMALL}, "target is 'even'"),
        ({**SMALL, "start": 5}, "start is 5; expected a step from 1 to 4"),
    ],
)
def test_an_option_that_cannot_be_is_a_sentence(options, said, diffusion, labelled):
    with pytest.raises(SpecError, match=said.replace("[", r"\[")):
        sampler(diffusion, **options)


def test_a_source_without_latents_is_refused():
    with pytest.raises(SourceError, match="chooses latents"):
        sampler(CallableSource("drawn", "audit.portraits:draw"))


def test_a_fit_is_made_once_and_kept(diffusion, labelled, monkeypatch, tmp_path):
    first = sampler(diffusion, **SMALL)
    kept = sorted((tmp_path / "home" / "gmm").iterdir())
    assert [p.suffix for p in kept] == [".npz"]  # the pool goes when the fit is there
    monkeypatch.setattr("mitigations.gmm_diffusion.sampling.make_fit", lambda *a, **k: pytest.fail("made again"))
    again, seeds = sampler(diffusion, **SMALL), image_seeds(0, np.arange(5))
    assert again.digest == first.digest
    assert np.array_equal(again.latents(seeds), first.latents(seeds))
    assert first.digest != diffusion.digest
    assert first.method["title"] == "GMM-balanced diffusion"


def test_a_fit_from_a_file_draws_like_the_one_it_came_from_and_refuses_other_weights(diffusion, labelled, tmp_path):
    made = sampler(diffusion, **SMALL)
    (file,) = (tmp_path / "home" / "gmm").glob("*.npz")
    loaded = sampler(diffusion, fit=str(file))
    assert loaded.digest == made.digest
    other = LatentSource("other", diffusion.module, z_dim=diffusion.z_dim, digest="retrained")
    with pytest.raises(SourceError, match=r"was made for other weights or settings than those of 'other'; make one .* gmm-diffusion"):
        sampler(other, fit=str(file))


def test_another_seed_or_verifier_is_another_fit(diffusion, labelled, tmp_path):
    for changes in ({}, {"seed": 1}, {"verifier": "elsewhere"}):
        sampler(diffusion, **SMALL, **changes)
    assert len(list((tmp_path / "home" / "gmm").glob("*.npz"))) == 3


def test_a_verifier_labels_the_verification_only(diffusion, reader, monkeypatch):
    opened = []
    monkeypatch.setattr(making, "Labeller", lambda attribute, classifier, **k: opened.append(classifier) or reader)
    monkeypatch.setattr(making, "fit_with", lambda source, settings, folder, labeller, verifier: opened)
    settings = settings_of({**SMALL, "verifier": "second"})
    assert making.make_fit(diffusion, settings, None) == ["portraits_b", "second"]


def _spec(tmp_path, model):
    network = {"autoencoder": dict(model.autoencoder.config), "unet": dict(model.unet.config), "scheduler": dict(model.scheduler.config),
               "steps": model.steps, "patch": model.patch}  # fmt: skip
    network = {k: {a: b for a, b in v.items() if not a.startswith("_")} if isinstance(v, dict) else v for k, v in network.items()}
    save_weights(model, tmp_path / "tiny.safetensors", kind="latent_diffusion", network=network)
    spec = {"version": 1, "name": "toy", "seed": 1, "samples": 20, "attributes": ["smile"], "instruments": {"classifier": "portraits_a"},
            "generators": {"tiny": {"source": "diffusion", "weights": str(tmp_path / "tiny.safetensors"), "baseline": True}}}  # fmt: skip
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(spec))
    return str(tmp_path / "toy.yaml")


def test_the_command_writes_a_fit_and_a_spec_that_uses_it(tiny_model, labelled, monkeypatch, tmp_path):
    given = [_spec(tmp_path, tiny_model), "--out", str(tmp_path / "out"), "--attribute", "smile", "--start", "2", "--pool", "100", "--budget", "100",
             "--device", "cpu"]  # fmt: skip

    def short(options):
        return settings_of({**options, "dims": 3, "components": 1, "draws": 20, "verify": 30})

    monkeypatch.setattr("mitigations.gmm_diffusion.settings.settings_of", short)
    result = CliRunner().invoke(command, given, catch_exceptions=False)
    assert result.exit_code == 0
    written = yaml.safe_load((tmp_path / "out" / "spec.yaml").read_text())
    entry = written["generators"]["tiny_gmm"]
    assert entry["sampler"] == {"method": "gmm", "fit": str(tmp_path / "out" / "fit.npz")}
    assert entry["compare_to"] == "tiny"
    assert result.output.strip().endswith(f"genbias run {tmp_path / 'out' / 'spec.yaml'}")
    monkeypatch.setattr("mitigations.gmm_diffusion.making.make_fit", lambda *a, **k: pytest.fail("made again"))
    assert CliRunner().invoke(command, given, catch_exceptions=False).exit_code == 0


def test_the_command_names_the_family_it_needs(tmp_path):
    spec = {"version": 1, "name": "toy", "seed": 1, "samples": 20, "attributes": ["smile"], "instruments": {"classifier": "portraits_a"},
            "generators": {"gan": {"source": "stylegan2", "weights": "portraits/stylegan2"}}}  # fmt: skip
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(spec))
    with pytest.raises(SpecError, match="needs diffusion"):
        CliRunner().invoke(command, [str(tmp_path / "toy.yaml"), "--generator", "gan", "--out", str(tmp_path)], catch_exceptions=False)
