"""Words are part of correctness: what we never say of a generator, and what never belongs in the repository."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BANNED = re.compile(r"\b(debias(ed|ing)?|unbiased (model|generator|image)|fair (model|generator)|bias-free|solves? bias)\b", re.IGNORECASE)
TEXTS = [p for pattern in ("*.md", "reports/**/*", "audit/**/*", "mitigations/**/*", "data_manifests/**/*") for p in ROOT.glob(pattern)
         if p.is_file() and p.suffix in {".md", ".py", ".yaml", ".j2", ".html", ".css"}]  # fmt: skip


@pytest.mark.parametrize("path", sorted(TEXTS), ids=lambda p: str(p.relative_to(ROOT)))
def test_no_text_claims_what_cannot_be_claimed(path):
    found = [m.group(0) for m in BANNED.finditer(path.read_text(encoding="utf-8"))
             if not (m.group(0).lower().startswith("debias") and "debias" in path.name)]  # fmt: skip
    assert not found


@pytest.mark.parametrize("sentence", ["a debiased GAN", "an unbiased generator", "the fair model"])
def test_the_word_list_would_catch_it(sentence):
    assert BANNED.search(sentence)


def test_no_picture_but_the_documentation_s_is_in_the_repository():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
    pictures = [f for f in listed if f.lower().endswith((".jpg", ".jpeg", ".png", ".webp", ".gif"))]
    assert all(f.startswith(("docs/", "tests/reports/", "tests/browser/golden/")) for f in pictures)
