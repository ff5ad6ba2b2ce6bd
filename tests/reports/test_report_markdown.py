"""The summary: verdicts, findings, headline table, where the report is; names cannot break it."""

from reports.markdown import render


def test_verdicts_findings_table_and_report_are_all_there(example):
    text = render(example)
    assert text.startswith("# embedded: bias audit\n\n6 generators, 12,000 images in all")
    assert "**3 limits: 1 broken, 1 undecided and 1 held.**" in text
    assert "| broken | StyleGAN2 | Fairness discrepancy of perceived gender presentation at most 0.10 |" in text
    assert "- **Skin tone.** StyleGAN2 is farthest from the target" in text
    assert "- **Missing images.** 77 of 12,000 images could not be used" in text
    assert "| StyleGAN2 | 2,000 | 0.423 (0.393 to 0.453) |" in text
    assert "`report.html`" in text


def test_every_row_of_a_table_has_as_many_cells_as_its_head(example):
    example["generators"][0]["title"] = "a | b \\| c\nd"
    blocks = [block for block in render(example).split("\n\n") if block.startswith("|")]
    assert len(blocks) == 3
    for block in blocks:
        counts = {line.replace("\\\\", "").replace("\\|", "").count("|") for line in block.splitlines()}
        assert len(counts) == 1


def test_without_limits_there_is_no_table_of_verdicts(example):
    example["verdicts"] = []
    text = render(example)
    assert "No limit was set" in text and "| outcome" not in text


def test_what_is_missing_is_named_and_never_zero(example):
    for row in example["measures"]:
        if row["metric"] == "fairness_discrepancy" and row["generator"] == "stylegan2":
            row.update(value=None, low=None, high=None, reason="no face")
    assert "| StyleGAN2 | 2,000 | not measured | not measured |" in render(example)


def test_markup_in_names_is_escaped(example):
    example["generators"][0]["title"] = "<img src=x> *b* [l](u) `c` _d_ a_b"
    text = render(example)
    assert "&lt;img src=x> \\*b\\* \\[l\\](u) \\`c\\` \\_d\\_ a_b" in text and "<img" not in text


def test_mitigations_stand_with_their_differences_and_their_price(example):
    text = render(example)
    assert "## Mitigations" in text
    assert "| Skin tone, fairness discrepancy | 0.470 → 0.171; −0.299 (−0.339 to −0.259), ×0.36 |" in text
    assert "| Time to fit | not recorded | 30 min 40 s | 6 min 50 s | not recorded |" in text
    assert "- **MaGNET sampling** (Humayun, Balestriero and Baraniuk 2022, arXiv 2110.08009). Draws latents" in text


def test_without_mitigations_there_is_no_such_section(example):
    example["comparisons"] = []
    for generator in example["generators"]:
        generator["method"] = None
    assert "Mitigations" not in render(example)
