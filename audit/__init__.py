"""genbias: measure what image generators do with gender presentation, skin tone, age and smile.

``import audit`` is light: the names below load what they need when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit import generators, metrics, portraits
    from audit.attributes import ATTRIBUTES
    from audit.audits import audit_images, run
    from audit.errors import GenbiasError
    from audit.estimates import Estimate, NotMeasured
    from audit.label_audits import audit_labels
    from audit.limits import load_limits
    from audit.manifests import list_manifests, load_manifest
    from audit.maps import audit_map
    from audit.quantities import Measure
    from audit.result import Result, load_result
    from audit.spec import Spec, load_spec
    from audit.verdicts import Verdict, judge

_HOME = {
    "ATTRIBUTES": "audit.attributes",
    "Estimate": "audit.estimates",
    "GenbiasError": "audit.errors",
    "Measure": "audit.quantities",
    "NotMeasured": "audit.estimates",
    "Result": "audit.result",
    "Spec": "audit.spec",
    "Verdict": "audit.verdicts",
    "audit_images": "audit.audits",
    "audit_labels": "audit.label_audits",
    "audit_map": "audit.maps",
    "judge": "audit.verdicts",
    "list_manifests": "audit.manifests",
    "load_limits": "audit.limits",
    "load_manifest": "audit.manifests",
    "load_result": "audit.result",
    "load_spec": "audit.spec",
    "run": "audit.audits",
}
_MODULES = ("generators", "metrics", "portraits")

__all__ = [
    "ATTRIBUTES",
    "Estimate",
    "GenbiasError",
    "Measure",
    "NotMeasured",
    "Result",
    "Spec",
    "Verdict",
    "audit_images",
    "audit_labels",
    "audit_map",
    "generators",
    "judge",
    "list_manifests",
    "load_limits",
    "load_manifest",
    "load_result",
    "load_spec",
    "metrics",
    "portraits",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    if name in _MODULES:
        return import_module(f"audit.{name}")
    raise AttributeError(f"module 'audit' has no attribute {name!r}")
