"""Model cards: metadata that parse, numbers that agree with the result, missing ones with their reason, names that break nothing."""

import pytest
import yaml

from reports.model_cards import cards

HOSTILE = "---\nx: &a [*a] <script>alert(1)</script> `|` \u202egpj \U0001f600"


def parts(card):
    _, head, body = card.split("---\n", 2)
    return yaml.safe_load(head), body


def test_each_generator_has_a_card_under_a_name_a_file_can_have(example):
    example["generators"][0]["name"] = "../evil name"
    assert len(cards(example)) == 6 and all(name.endswith(".md") and "/" not in name and " " not in name for name in cards(example))


def test_metadata_carry_value_interval_and_what_they_are_of(example):
    head, body = parts(cards(example)["rebalanced.md"])
    metrics = head["model-index"][0]["results"][0]["metrics"]
    row = next(m for m in example["measures"] if (m["generator"], m["metric"], m["attribute"], m["corrected"])
               == ("rebalanced", "fairness_discrepancy", "skin_tone", True))  # fmt: skip
    found = next(m for m in metrics if m["type"] == "fairness_discrepancy" and m["args"]["attribute"] == "skin_tone")
    assert found["value"] == row["value"] and (found["args"]["low"], found["args"]["high"]) == (row["low"], row["high"])
    assert found["args"]["corrected"] is True and found["name"] == "Fairness discrepancy of skin tone"
    assert head["base_model"] == "stylegan2" and "mitigation" in head["tags"] and head["library_name"] == "genbias"
    assert "| labelled dark | 31.7% (" in body and "## Against its baseline" in body and "arXiv 2301.00000" in body


def test_a_card_speaks_of_its_own_generator_and_its_own_verdicts(example):
    found = cards(example)
    assert "## Limits\n" in found["rebalanced.md"] and "| held |" in found["rebalanced.md"] and "| broken |" not in found["rebalanced.md"]
    assert "## Limits\n" not in found["diffusion.md"] and "## How it was made" not in found["diffusion.md"]


def test_what_was_not_measured_is_left_out_of_the_metadata_and_said_in_the_text(example):
    for row in example["measures"]:
        if row["generator"] == "magnet" and row["metric"] == "fid":
            row.update(value=None, low=None, high=None, reason="no reference was read")
    head, body = parts(cards(example)["magnet.md"])
    assert "fid" not in {m["type"] for m in head["model-index"][0]["results"][0]["metrics"]}
    assert "not measured: no reference was read" in body


@pytest.mark.parametrize("key", ["title", "name"])
def test_hostile_names_stay_inside_their_places(example, key):
    example["generators"][3][key] = HOSTILE
    if key == "name":
        for row in example["measures"]:
            row["generator"] = HOSTILE if row["generator"] == "magnet" else row["generator"]
    card = list(cards(example).values())[3]
    head, body = parts(card)
    index = head["model-index"][0]
    assert list(head)[:2] == ["library_name", "tags"] and len(index["results"]) == 1
    assert "<script" not in body and "\u202e" not in card and (key == "title" or "alert(1)" in index["name"])
