"""The table of crops, on drawn faces and a classifier that looks at one colour: what must not matter does not, what must does."""

import hashlib
import warnings

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

from audit.errors import InstrumentError, RecordError
from audit.labelled.crop_study import CROPS, crop_study, table
from audit.portraits import draw, population

RED, BLUE = (255, 90, 60), (60, 90, 255)


class Redder(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        more = (x[:, 0].mean(dim=(1, 2)) > x[:, 2].mean(dim=(1, 2))).float()
        return torch.stack([more, 1 - more], dim=1)


@pytest.fixture(scope="module")
def setting(tmp_path_factory):
    """Six portraits, tinted red where the label says feminine, blue where masculine; one picture without a face."""
    folder = tmp_path_factory.mktemp("crops")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of the format
        torch.jit.save(torch.jit.trace(Redder(), torch.zeros(2, 3, 8, 8)), folder / "redder.pt")
    file = {"name": "redder.pt", "path": "redder.pt", "sha256": hashlib.sha256((folder / "redder.pt").read_bytes()).hexdigest()}
    head = {"attribute": "gender", "kind": "probabilities", "columns": [0, 1], "classes": {"feminine": 0, "masculine": 1}}
    content = {"name": "redder", "kind": "classifier", "title": "Redder", "format": "torchscript", "licence": "MIT", "files": [file],
               "contract": {"input": {"size": 8}, "output": {"heads": [head]}}}  # fmt: skip
    (folder / "redder.yaml").write_text(yaml.safe_dump(content))
    seeds = np.arange(6, dtype=np.uint64)
    portraits = draw(population("balanced").for_seeds(seeds), seeds, size=160).float().mean(dim=1, keepdim=True)
    for i, grey in enumerate(portraits):
        tint = torch.tensor(RED if i % 2 else BLUE).view(3, 1, 1) / 255
        where = folder / "faces" / ("female" if i % 2 else "male")
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray((grey * tint).byte().permute(1, 2, 0).numpy()).save(where / f"{i}.png")
    Image.new("RGB", (160, 160), BLUE).save(folder / "faces" / "female" / "none.png")
    return folder


def test_crops_and_mirrors_leave_a_colour_alone_and_swapped_channels_turn_it_round(setting):
    rows = crop_study(setting / "faces", None, classifier=str(setting / "redder.yaml"))
    assert [r.crop for r in rows] == [*CROPS, "mirrored", "channels swapped"]
    found = rows[0].images
    assert 3 <= found <= 6  # the picture without a face is in no row
    for row in rows[:-1]:
        assert (row.images, row.agreement, row.high) == (found, 1.0, 1.0)
    assert rows[-1].agreement == 0
    assert rows[-1].shares["masculine"] == rows[0].shares["feminine"]
    assert table(rows).splitlines()[2].startswith(f"| box | {found} | 100.0% |")


def test_what_cannot_be_compared_is_refused(setting, tmp_path):
    with pytest.raises(InstrumentError, match="crops are compared on gender"):
        crop_study(setting / "faces", None, classifier=str(setting / "redder.yaml"), attribute="hat")
    (tmp_path / "f" / "male").mkdir(parents=True)
    Image.new("RGB", (30, 30)).save(tmp_path / "f" / "male" / "0.png")
    with pytest.raises(RecordError, match="of 1 images none has both a label of gender and one face"):
        crop_study(tmp_path / "f", None, classifier=str(setting / "redder.yaml"))
