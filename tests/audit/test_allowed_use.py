"""Assets whose terms exclude commercial use are refused by name; so are those that state none."""

import pytest

from audit.allowed_use import manifests_of, require_commercial_use
from audit.errors import ManifestError
from audit.manifests import Manifest, load_manifest


def toy(name, **changes):
    return Manifest(name=name, kind="encoder", title="T", licence="MIT", **changes)


def test_every_asset_that_excludes_commercial_use_is_named_with_its_terms():
    with pytest.raises(ManifestError) as caught:
        require_commercial_use([load_manifest("inception_2015_12_05"), load_manifest("stylegan2_ada_ffhq_1024"), load_manifest("celeba")])
    said = str(caught.value)
    assert "stylegan2_ada_ffhq_1024 (non-commercial research only: non-commercial research and evaluation only)" in said
    assert "celeba (non-commercial research only" in said
    assert "inception_2015_12_05" not in said


@pytest.mark.parametrize(("use", "words"), [("non-commercial", "non-commercial use only"), ("fairness-evaluation", "fairness only"), (None, "not stated")])
def test_only_a_stated_permission_passes(use, words):
    require_commercial_use([toy("free", allowed_use="any")])
    with pytest.raises(ManifestError, match=rf"held \(.*{words}"):
        require_commercial_use([toy("free", allowed_use="any"), toy("held", allowed_use=use)])


def test_the_short_form_means_the_same():
    assert toy("old", non_commercial=True).use == "non-commercial"
    assert toy("old", non_commercial=False).use is None
    assert toy("both", non_commercial=True, allowed_use="non-commercial-research").use == "non-commercial-research"


def test_the_names_of_a_spec_become_manifests_and_built_in_ones_are_left_out():
    found = manifests_of(["portraits_a", "portraits", "portraits/stylegan2", None, "darknet_tiny", "darknet_tiny", "some/weights.pt", "mtcnn"])
    assert [m.name for m in found] == ["darknet_tiny", "mtcnn"]
    with pytest.raises(ManifestError, match="no manifest is called 'darknet_tinny'"):
        manifests_of(["darknet_tinny"])
