"""The command: from a spec to a bank and a spec that uses it; and the measurement of its speed."""

import json

import pytest
import yaml
from click.testing import CliRunner

from audit.errors import SourceError, SpecError
from audit.generators.weights import save_weights
from audit.sources import open_source
from audit.spec import load_spec
from mitigations.magnet import sampler
from mitigations.magnet.bank import read_bank
from mitigations.magnet.command import command
from mitigations.magnet.timing import compare_throughput, in_words


@pytest.fixture
def spec(stylegan2, tmp_path):
    network = {"z_dim": 12, "w_dim": 10, "resolution": 16, "mapping_layers": 2, "channels": {4: 8, 8: 8, 16: 6}}
    save_weights(stylegan2, tmp_path / "g.safetensors", kind="stylegan2", network=network)
    entry = {"source": "stylegan2", "weights": str(tmp_path / "g.safetensors"), "truncation_psi": 0.8, "noise": "none"}
    whole = {"name": "tiny", "instruments": {"classifier": "portraits_a"}, "generators": {
        "gan": {**entry, "baseline": True}, "drawn": {"source": "portraits", "population": "balanced"}}}  # fmt: skip
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(whole))
    return path


def _run(*words):
    done = CliRunner().invoke(command, [str(w) for w in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_the_command_leaves_a_bank_and_a_spec_that_uses_it(spec, tmp_path):
    done = _run(spec, "--out", tmp_path / "out", "--latents", 12, "--top-k", 3, "--rho", 0.5, "--share", 0.4, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"genbias run {tmp_path / 'out/spec.yaml'}"
    made = load_spec(str(tmp_path / "out/spec.yaml"))
    options = dict(made.generators["magnet"].sampler)
    assert options.pop("method") == "magnet"
    assert made.generators["magnet"].compare_to == "gan" and made.generators["magnet"].truncation_psi == 0.8
    drawn = sampler(open_source("gan", made.generators["gan"]), **options)
    facts = {f["name"]: f["value"] for f in drawn.method["facts"]}
    assert facts["Latents in the bank"] == 12 and facts["Polarity (rho)"] == 0.5 and facts["Share of images drawn by volume"] == 0.4


def test_the_same_command_again_continues_and_more_latents_extend(spec, tmp_path):
    _run(spec, "--out", tmp_path / "out", "--latents", 5, "--device", "cpu")
    first = read_bank(tmp_path / "out/bank.npz")
    _run(spec, "--out", tmp_path / "out", "--latents", 9, "--device", "cpu")
    longer = read_bank(tmp_path / "out/bank.npz")
    assert len(longer.singular_values) == 9 and (longer.singular_values[:5] == first.singular_values).all()


def test_a_source_without_latents_is_one_sentence(spec, tmp_path):
    with pytest.raises(SourceError, match="chooses latents, and 'drawn' is a PortraitsSource"):
        _run(spec, "--generator", "drawn", "--out", tmp_path / "out", "--device", "cpu")
    with pytest.raises(SpecError, match="no generator 'nobody'"):
        _run(spec, "--generator", "nobody", "--device", "cpu")


def test_the_timing_compares_both_ways_on_the_same_latents(stylegan2):
    found = json.loads(
        json.dumps(compare_throughput(stylegan2, [[float(i == j) + 0.1 for i in range(12)] for j in range(2)], projection=20))
    )
    assert [row["keep"] for row in found["ours"]] == [None, 32, 10]
    for row in found["ours"]:
        assert row["difference"] < 1e-4 and row["difference_of_largest"] < 1e-5
        assert row["speedup"] == pytest.approx(found["reference"]["seconds"] / row["seconds"])
        assert row["products"] == 10
    assert "torch.autograd.functional.jacobian" in in_words(found)


def test_the_timing_is_an_option_of_the_command(spec, tmp_path):
    done = _run(spec, "--timing", "--latents", 2, "--device", "cpu", "--out", tmp_path / "out")
    assert "first 32" in done.stdout and not (tmp_path / "out").exists()
