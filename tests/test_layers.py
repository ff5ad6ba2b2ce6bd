"""Imports point down, and the light parts stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = [
    {"audit.errors"},
    {"audit.sweeps", "audit.changes", "audit.shapes", "audit.attributes", "audit.estimates", "audit.seeds", "audit.digests", "audit.provenance", "audit.quantities",
     "audit.verdict_text"},
    {"audit.manifests", "audit.readers", "audit.asset_files", "audit.allowed_use", "audit.downloads", "audit.pixels", "audit.portraits", "audit.doctor",
     "audit.protocols", "audit.storage", "audit.memory"},
    {"audit.sources", "audit.reference_statistics", "audit.instruments", "audit.generators", "audit.records", "audit.metrics", "audit.labels",
     "audit.gallery", "audit.filters"},
    {"audit.convert", "audit.spec", "audit.collect", "audit.faster", "audit.verdicts", "audit.limits", "audit.result", "audit.attribute_rows", "audit.planning",
     "audit.evidence"},
    {"audit.labelled", "audit.label_audits", "audit.studies"},
    {"audit.calibrations", "audit.probe"},
    {"audit.fixed_references"},
    {"audit.quality", "audit.sequential"},
    {"audit.group_quality"},
    {"audit.measure", "audit.paired_quality"},
    {"audit.comparisons", "audit.plan"},
    {"audit.study", "audit.amplification"},
    {"audit.engines"},
    {"audit.audits"},
    {"audit.history"},
    {"audit.nightly"},
    {"audit.assets_command", "audit.probe_command", "audit.maps", "audit.prompt_study", "audit.nightly_command", "audit.bench"},
    {"audit.cli", "audit.__main__", "audit", "audit.pytest_plugin", "audit.limit_files"},
]  # fmt: skip
"""From the bottom up. A module may import its own layer and those below."""

UPWARD = {("audit.sources", "audit.spec"), ("audit.instruments", "audit.spec"),
          ("audit.sources.mapped", "audit.spec"), ("audit.sources.families", "audit.spec"), ("audit.sources.networks", "audit.spec")}  # fmt: skip
"""Names of types only, under TYPE_CHECKING."""


def _files(package):
    return sorted(p for p in (ROOT / package).rglob("*.py"))


def _module(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if _is_module(inner) else node.module


def _is_module(name):
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _layer(module):
    name = ".".join(module.split(".")[:2])
    found = [i for i, names in enumerate(LAYERS) if name in names]
    assert found, f"{module} is in no layer; add it to LAYERS"
    return found[0]


@pytest.mark.parametrize("path", _files("audit"), ids=lambda p: _module(p))
def test_imports_point_down(path):
    module = _module(path)
    for imported in _imports(path):
        assert not imported.startswith(("mitigations", "reports")), f"{module} imports {imported}"
        if imported.startswith("audit") and imported != "audit" and (module, imported) not in UPWARD:
            assert _layer(imported) <= _layer(module), f"{module} imports {imported}, which lies above it"


def test_a_wrong_import_would_be_found(tmp_path):
    fake = tmp_path / "wrong.py"
    fake.write_text("from audit.cli import main\nimport reports.html\n")
    assert set(_imports(fake)) == {"audit.cli", "reports.html"}
    assert _layer("audit.cli") > _layer("audit.metrics.shares")


@pytest.mark.parametrize("path", _files("reports"), ids=lambda p: _module(p))
def test_reports_never_import_torch(path):
    light = ("audit.errors", "audit.attributes", "audit.estimates", "audit.records", "audit.quantities", "audit.verdict_text", "audit.history.words")
    for imported in _imports(path):
        assert not imported.startswith(("torch", "mitigations")), f"{path} imports {imported}"
        assert not imported.startswith("audit") or imported.startswith(light), f"{path} imports {imported}"


@pytest.mark.parametrize("statement", ["import audit", "import audit.cli", "import audit.pytest_plugin", "import reports"])
def test_light_imports_load_neither_torch_nor_matplotlib(statement):
    code = f"{statement}; import sys; print(sorted({{'torch', 'matplotlib', 'diffusers'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", [p for package in ("audit", "mitigations", "reports", "tests") for p in _files(package)], ids=str)
def test_rooms_have_names_and_are_small(path):
    assert path.stem not in {"utils", "util", "helpers", "common", "misc", "core"}
    assert len(path.read_text().splitlines()) <= 400


def test_every_public_name_exists_and_is_listed():
    import audit

    assert sorted(audit.__all__) == audit.__all__
    for name in audit.__all__:
        assert getattr(audit, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = audit.nothing
