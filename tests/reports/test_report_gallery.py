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
    group = shelf.groups["images-stylegan2-skin_tone-dark"]
    assert len(shelf.first) == 8 and group.title == "Skin tone: dark" and group.tiles[0].said[1] == ("dark", "0.92")
    assert shelf.large == shelf.first[: gallery.LARGE] and shelf.small == shelf.first[gallery.LARGE :]


def test_images_of_a_cell_are_those_that_carry_all_its_labels_in_the_order_of_ids(run_dir, example):
    shelf = shelf_of(example, run_dir)
    cells = [g for g in shelf.groups.values() if g.attribute == "gender*skin_tone"]
    assert [g.label for g in cells] == [f"{a}*{b}" for a in ("feminine", "masculine") for b in ("light", "medium", "dark")]
    assert [t.id for t in cells[0].tiles] == ["0", "6"] and all(len(g.tiles) <= gallery.IN_A_CELL for g in cells)
    example["gallery"]["stylegan2"][0]["labels"].pop("skin_tone")  # nobody can tell which cell it falls into
    groups = shelf_of(example, run_dir).groups
    assert [t.id for t in groups["images-stylegan2-gender.skin_tone-feminine.light"].tiles] == ["6"]
    assert len([g for g in groups.values() if g.attribute == "gender*skin_tone"]) == 6


def test_links_lead_to_groups_and_an_image_has_one_place(run_dir, example):
    shelf = shelf_of(example, run_dir)
    assert gallery.links([shelf])[("stylegan2", "skin_tone", "dark")] == "images-stylegan2-skin_tone-dark"
    tiles = [*shelf.first, *(t for g in shelf.groups.values() for t in g.tiles)]
    assert [t.anchor for t in tiles if t.there] == list(dict.fromkeys(t.anchor for t in tiles))


def test_a_file_shown_twice_is_stored_once(run_dir, example):
    samples = example["gallery"]["stylegan2"]
    samples.append(samples[0] | {"group": "gender=feminine"})
    shelf = shelf_of(example, run_dir)
    assert shelf.first[0].picture is shelf.groups["images-stylegan2-gender-feminine"].tiles[0].picture
    assert shelf.first[0].picture.tiles == 3  # the cell feminine and light shows it, too


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
