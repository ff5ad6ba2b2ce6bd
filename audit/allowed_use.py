"""What the terms of models and data sets allow, and the refusal that ``--commercial-use`` asks for.

Terms are told as their owners publish them; whether they bind somebody is a question for a lawyer, and so is what a licence on
code says of weights trained on photographs of people.
"""

from collections.abc import Iterable
from pathlib import Path

from audit.errors import ManifestError
from audit.manifests import Manifest, load_manifest

USES = {
    "any": "any use, as its licence says",
    "non-commercial": "non-commercial use only",
    "non-commercial-research": "non-commercial research only",
    "fairness-evaluation": "evaluation of fairness only, after an agreement",
    None: "not stated",
}
"""Values of a manifest's ``allowed_use`` in words."""


def require_commercial_use(manifests: Iterable[Manifest]) -> None:
    """Refuse assets whose terms exclude commercial use, or that state none, each by its name.

    Args:
        manifests: what is about to be fetched or used.

    Raises:
        ManifestError: there is one; the sentence names all of them with their terms.

    Example:
        >>> require_commercial_use([load_manifest("inception_2015_12_05")])
    """
    bad = {m.name: m for m in manifests if m.use != "any"}
    if not bad:
        return
    told = "; ".join(f"{m.name} ({USES[m.use]}: {m.terms or m.licence})" for m in bad.values())
    raise ManifestError(f"commercial use was asked for, and these assets do not allow it: {told}; leave them out, or ask their owners")


def manifests_of(names: Iterable[str | None]) -> list[Manifest]:
    """Return the manifests among the names that a spec uses; built-in models ("portraits...") and paths of weights have none.

    Raises:
        ManifestError: a name is neither.
    """
    found = []
    for name in dict.fromkeys(n for n in names if n):
        described = (Path(name).expanduser() / "genbias.yaml").is_file()  # a classifier's directory
        if described or name == "mtcnn" or not (name.startswith("portraits") or (("/" in name or "." in name) and not name.endswith((".yaml", ".yml")))):
            found.append(load_manifest(name))
    return found
