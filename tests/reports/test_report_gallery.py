"""Thumbnails: only from the gallery, only images, within a budget, the first ids of every generator first."""

import base64
import io

import pytest
from PIL import Image

from reports import gallery
from reports.reading import Reading


def shelf_of(example, run_dir):
    return gallery.shelves(Reading(example), run_dir)[0]


def test_a_thumbnail_is_embedded_as_it_is(run_dir, example):
    tile = shelf_of(example, run_dir).first[0]
    head, data = tile.picture.source.split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == (run_dir / example["gallery"]["stylegan2"][0]["file"]).read_bytes()
    assert (
        tile.alt
        == "Image 0 of StyleGAN2, labelled feminine (0.60), light (0.60), young (0.60), neutral (0.60) and Monk tone 1"
    )


def test_samples_of_a_class_stand_apart_with_their_probability(run_dir, example):
    shelf = shelf_of(example, run_dir)
    assert len(shelf.first) == 8 and list(shelf.groups) == ["Skin tone: labelled dark"]
    assert shelf.groups["Skin tone: labelled dark"][0].said == [("dark", "0.92")]


def test_a_file_shown_twice_is_stored_once(run_dir, example):
    samples = example["gallery"]["stylegan2"]
    samples.append(samples[0] | {"group": "gender=feminine"})
    shelf = shelf_of(example, run_dir)
    assert shelf.first[0].picture is shelf.groups["Perceived gender presentation: labelled feminine"][0].picture
    assert shelf.first[0].picture.tiles == 2


def test_a_file_outside_the_gallery_is_not_read(run_dir, example):
    (run_dir / "secret.png").write_bytes((run_dir / example["gallery"]["stylegan2"][0]["file"]).read_bytes())
    for name in ("secret.png", "gallery/../secret.png", str(run_dir / "secret.png"), "../../etc/passwd"):
        example["gallery"]["stylegan2"][0]["file"] = name
        picture = shelf_of(example, run_dir).first[0].picture
        assert picture.source is None and picture.why == "file lies outside the gallery"


@pytest.mark.parametrize(
    ("content", "why"), [(b"<svg onload=x>", "file is not an image"), (b"x" * 9000, "file cannot be read")]
)
def test_what_is_no_image_leaves_a_place_that_says_so(run_dir, example, content, why):
    (run_dir / example["gallery"]["stylegan2"][0]["file"]).write_bytes(content)
    picture = shelf_of(example, run_dir).first[0].picture
    assert picture.source is None and picture.why == why


def test_a_large_file_is_made_small(run_dir, example):
    file = run_dir / example["gallery"]["stylegan2"][0]["file"]
    Image.effect_noise((700, 500), 60).convert("RGB").save(file)
    data = base64.b64decode(shelf_of(example, run_dir).first[0].picture.source.split(",")[1])
    assert Image.open(io.BytesIO(data)).size == (128, 91) and len(data) < 20_000 < file.stat().st_size


def test_the_budget_is_spent_on_the_first_ids_of_all_generators(run_dir, example, monkeypatch):
    size = (run_dir / example["gallery"]["stylegan2"][0]["file"]).stat().st_size
    monkeypatch.setattr(gallery, "BUDGET", int(size * 13.5))
    shelves = gallery.shelves(Reading(example), run_dir)
    assert sorted(len(shelf.first) for shelf in shelves) == [2, 2, 2, 2, 2, 3]
    assert sum(shelf.left_out for shelf in shelves) == 6 * 12 - 13


def test_without_a_run_directory_every_place_says_so(example):
    assert {t.picture.why for t in gallery.shelves(Reading(example), None)[0].first} == {"not embedded"}


def test_a_result_without_gallery_has_no_shelves(example, run_dir):
    example["gallery"] = {"stylegan2": []}
    assert gallery.shelves(Reading(example), run_dir) == []
