"""The paired audit of maps from image to image: what a filter or an image-to-image model does to who is seen, pair by pair.

The question of Jain, Olmo, Sengupta, Manikonda, Kambhampati 2022, "Imperfect ImaGANation" (arXiv 2001.09528): do such models masculinise
and lighten? Each image is read before and after by the same instruments, and the same is done to controls: the identity, which must
change nothing; a random photometric jitter as large as the map; and a blur as soft as it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.maps.auditing import audit_map
    from audit.maps.findings import study

__all__ = ["audit_map", "study"]


def __getattr__(name: str) -> Any:
    if name == "audit_map":
        from audit.maps.auditing import audit_map

        return audit_map
    if name == "study":
        from audit.maps.findings import study

        return study
    raise AttributeError(f"module 'audit.maps' has no attribute {name!r}")
