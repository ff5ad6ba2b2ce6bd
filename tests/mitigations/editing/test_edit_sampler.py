import numpy as np
import pytest
import torch
from torch import nn

from audit.errors import SourceError, SpecError
from audit.generators.self_conditioned import SelfConditionedStyleGAN2, label_vector
from audit.generators.stylegan2 import StyleGAN2
from audit.seeds import image_seeds
from audit.sources.latent import LatentSource
from mitigations.editing import sampler
from mitigations.editing.fits import make_fit
from mitigations.editing.labels import extrapolated_weights
from mitigations.editing.sampler import OUTSIDE

NETWORK = {"z_dim": 8, "w_dim": 8, "resolution": 8, "mapping_layers": 2, "channels": {4: 6, 8: 6}}
IDS = np.arange(24)
SEEDS = image_seeds(3, IDS)


@pytest.fixture
def labelled():
    torch.manual_seed(0)
    net = SelfConditionedStyleGAN2(**NETWORK, attributes=["gender", "smile"], condition="both")
    nn.init.normal_(net.label_consts)
    nn.init.normal_(net.label_styles)
    return LatentSource("labelled", net, z_dim=net.z_dim, digest="labelled weights", call={"noise": "none", "truncation_psi": 0.9})


@pytest.fixture
def fitted(toy, rater, settings, tmp_path):
    make_fit(toy, rater, settings).save(tmp_path / "fit.npz")
    return str(tmp_path / "fit.npz")


def _drawn(source, at=IDS):
    return torch.stack(source.draw(IDS[at], SEEDS[at]).images)


def test_strength_zero_draws_the_unedited_image(toy, fitted):
    for by in ("interfacegan", "conditional", "ganspace"):
        assert (_drawn(sampler(toy, by=by, attribute="smile", strength=0, fit=fitted)) == _drawn(toy)).all()


def test_an_edit_moves_the_code_of_the_same_latent(toy, fitted):
    edited = sampler(toy, by="conditional", attribute="smile", strength=1.5, fit=fitted)
    assert (edited.latents(SEEDS) == toy.latents(SEEDS)).all()
    z = torch.from_numpy(toy.latents(SEEDS)).float()
    step = (edited.module.codes(z) - toy.module.mapping(z))[:, 0].detach().numpy()
    assert step == pytest.approx(np.tile(1.5 * edited.module.line.step, (len(step), 1)), abs=1e-5)


def test_images_do_not_depend_on_the_batch(toy, fitted, labelled):
    for edited in (
        sampler(toy, by="ganspace", attribute="age", strength=1, fit=fitted),
        sampler(labelled, by="self_conditioned", attribute="smile", strength=2),
    ):
        whole = edited.draw(IDS, SEEDS)
        part = edited.draw(IDS[5:9], SEEDS[5:9])
        assert (torch.stack(whole.images)[5:9].int() - torch.stack(part.images).int()).abs().max() <= 1
        assert whole.columns[OUTSIDE][5:9] == pytest.approx(part.columns[OUTSIDE])


def test_the_record_says_what_left_the_latent_space(toy, fitted):
    near, far = (
        sampler(toy, by="conditional", attribute="smile", strength=s, fit=fitted).draw(IDS, SEEDS).columns[OUTSIDE] for s in (0.1, 20)
    )
    assert (near < 1).all() and (far > 1).all()


def test_digests_tell_edits_apart(toy, fitted):
    given = [{"by": "conditional", "attribute": "smile", "strength": 1}, {"by": "conditional", "attribute": "smile", "strength": -1},
             {"by": "conditional", "attribute": "age", "strength": 1}, {"by": "interfacegan", "attribute": "smile", "strength": 1}]  # fmt: skip
    digests = {sampler(toy, **g, fit=fitted).digest for g in given} | {toy.digest}
    assert len(digests) == 5 and sampler(toy, **given[0], fit=fitted).digest in digests


def test_inside_the_label_range_the_weights_are_those_of_training_and_go_on_straight_outside():
    t = torch.linspace(0, 1, 9)[:, None]
    assert (extrapolated_weights(t) == label_vector(t, middle=False)[:, 1:]).all()
    assert extrapolated_weights(torch.tensor([[-1.0], [2.0]])).tolist() == [[3, 0, 0], [0, 0, 3]]


@pytest.mark.parametrize(("strength", "label"), [(-1, 0.0), (0, 0.5), (0.5, 0.75), (1, 1.0)])
def test_a_label_edit_asks_for_one_label_and_keeps_the_others(labelled, strength, label):
    edited = sampler(labelled, by="self_conditioned", attribute="smile", strength=strength)
    z = torch.from_numpy(labelled.latents(SEEDS)).float()
    t = labelled.module.labels(z)
    t[:, 1] = label
    with torch.inference_mode():
        wanted = labelled.module.edit(z, t, truncation_psi=0.9, noise="none")
        assert edited.module(z, noise="none").numpy() == pytest.approx(wanted.numpy(), abs=1e-4)


def test_beyond_the_range_a_label_edit_goes_on(labelled):
    one, two = (_drawn(sampler(labelled, by="self_conditioned", attribute="smile", strength=s)) for s in (1, 2))
    assert (one != two).any()


@pytest.mark.parametrize(("given", "said"), [
    ({"by": "stylespace"}, "by is 'stylespace'; expected one of interfacegan, conditional, ganspace, learned, self_conditioned"),
    ({"attribute": "mood"}, "attribute is 'mood'"), ({"strength": "much"}, "strength is 'much'"), ({"strength": float("nan")}, "strength is nan"),
    ({"strength": True}, "strength is True"), ({"stepz": 1}, "no option 'stepz'"), ({"codes": 5}, "codes says how a fit is made"),
])  # fmt: skip
def test_a_wrong_word_is_named(toy, fitted, given, said):
    with pytest.raises(SpecError, match=said):
        sampler(toy, **{"by": "conditional", "attribute": "smile", "fit": fitted, **given})


def test_a_generator_without_mapping_network_is_refused():
    source = LatentSource("plain", nn.Linear(8, 4), z_dim=8, digest="plain")
    with pytest.raises(SourceError, match="'plain' is a Linear without a mapping network; give a stylegan2"):
        sampler(source, by="interfacegan", attribute="smile")


def test_images_without_latents_are_refused():
    class Folder:
        name = "folder"

    with pytest.raises(SourceError, match="give a generator drawn from latents"):
        sampler(Folder(), by="interfacegan", attribute="smile")


def test_kinds_of_edit_and_kinds_of_generator_must_go_together(toy, labelled, fitted):
    with pytest.raises(SourceError, match="has no labels to change"):
        sampler(toy, by="self_conditioned", attribute="smile")
    with pytest.raises(SourceError, match="is asked by label"):
        sampler(labelled, by="interfacegan", attribute="smile", fit=fitted)
    with pytest.raises(SourceError, match="not asked for 'age'; it has labels for gender, smile"):
        sampler(labelled, by="self_conditioned", attribute="age")
    with pytest.raises(SpecError, match="fitted to nothing"):
        sampler(labelled, by="self_conditioned", attribute="smile", fit=fitted)


def test_a_fit_of_another_generator_or_without_the_attribute_is_refused(toy, fitted):
    other = LatentSource("other", toy.module, z_dim=8, digest="other weights")
    with pytest.raises(SourceError, match="made for other weights"):
        sampler(other, by="interfacegan", attribute="smile", fit=fitted)
    with pytest.raises(SourceError, match="no interfacegan edit of 'skin_tone', only of smile, age, gender"):
        sampler(toy, by="interfacegan", attribute="skin_tone", fit=fitted)
    with pytest.raises(SourceError, match="no learned edit of 'smile', only of nothing"):
        sampler(toy, by="learned", attribute="smile", fit=fitted)


def test_a_real_network_is_edited_from_a_spec(tmp_path):
    """A tiny StyleGAN2 through the classifier that ships, by the entry point's options alone."""
    torch.manual_seed(0)
    channels = {4: 12, 8: 12, 16: 8}
    net = StyleGAN2(**NETWORK | {"resolution": 16, "channels": channels})
    for r in channels:
        getattr(net.synthesis, f"b{r}").torgb.weight.data *= 0.3  # colours within range, so that readings vary
    source = LatentSource("tiny", net, z_dim=8, digest="tiny weights", call={"noise": "none"})
    options = {"attributes": ["smile"], "codes": 64, "share": 0.2, "components": 2, "tried": 4, "steps": 2}
    edited = sampler(source, by="learned", attribute="smile", strength=1, **options)
    assert (_drawn(edited) != _drawn(source)).any() and np.isfinite(edited.draw(IDS, SEEDS).columns[OUTSIDE]).all()
