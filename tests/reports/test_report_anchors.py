"""Ids of places: legible, stable, never shared."""

import re

import pytest

from reports.anchors import anchor

NAMES = ["stylegan2", "my model", "my/model", "my_model", "", " ", "<b>", "\u05d0", "\u05d1", "x" * 300, "x" * 301, "a*b", "a\u00d7b", "a-b"]


@pytest.mark.parametrize("name", NAMES)
def test_an_anchor_is_an_id_that_needs_no_escape(name):
    made = anchor("images", name)
    assert re.fullmatch(r"[A-Za-z0-9._-]+", made) and len(made) < 80 and made == anchor("images", name)


def test_different_names_have_different_anchors():
    assert len({anchor(name) for name in NAMES}) == len(NAMES)
    assert anchor("a", "b-c") != anchor("a-b", "c")


def test_a_legible_name_stays_as_it_is():
    assert anchor("images", "stylegan2", "gender*skin_tone", "feminine*light") == "images-stylegan2-gender.skin_tone-feminine.light"
