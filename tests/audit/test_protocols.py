"""Two distances are comparable when their protocols are equal, so all that moves a distance is in them."""

import pytest

from audit.errors import ManifestError
from audit.manifests import list_manifests
from audit.protocols import encoder_protocol, protocol


def test_the_mode_of_clean_fid_the_size_and_the_layer_are_named():
    assert encoder_protocol("inception_2015_12_05") == "inception_2015_12_05 encoder (clean-fid mode clean, 299 px)"
    assert "clean-fid mode legacy_tensorflow" in encoder_protocol("inception_2015_12_05_legacy_tensorflow")
    assert "clean-fid mode legacy_pytorch" in encoder_protocol("inception_pytorch_fid")
    assert encoder_protocol("vgg16_torchvision").endswith("(clean-fid mode clean, 224 px, layer classifier.4)")
    assert encoder_protocol("facenet_vggface2") == "facenet_vggface2 encoder (antialiased bicubic, 160 px, of the face)"


def test_n_and_the_reference_follow_and_built_in_encoders_read_as_before():
    assert protocol("portraits", n=2000, reference="balanced", population="balanced") == (
        "portraits encoder, n=2000, reference balanced (balanced)"
    )
    fixed = protocol("inception_2015_12_05", n=50000, reference="ffhq_clean_trainval70k_256", fixed=True)
    assert fixed.endswith("n=50000, statistics ffhq_clean_trainval70k_256, fixed")


def test_no_two_shipped_encoders_share_a_protocol():
    said = [encoder_protocol(m.name) for m in list_manifests() if m.kind == "encoder"]
    assert len(set(said)) == len(said) >= 10


def test_an_unknown_encoder_is_told():
    with pytest.raises(ManifestError, match="no manifest is called 'inceptoin_2015_12_05'; did you mean 'inception_2015_12_05'"):
        encoder_protocol("inceptoin_2015_12_05")
