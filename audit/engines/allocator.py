"""Keeps freed memory in the process. On Linux, glibc returns large blocks to the system and pays page faults to get them back."""

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # from <malloc.h>


def keep_freed_blocks() -> bool:
    """Tell glibc to keep freed blocks; return whether it was told. Elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        return all(libc.mallopt(option, size) == 1 for option, size in
                   ((_MMAP_THRESHOLD, 1 << 30), (_TRIM_THRESHOLD, 2_000_000_000), (_TOP_PAD, 64 << 20)))  # fmt: skip
    except (OSError, AttributeError):
        return False
