"""What the many ways to say that memory ran out have in common."""

import torch

_SAID_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")


def ran_out_of_memory(problem: BaseException | None) -> bool:
    """Whether this exception, or one that it came from, says that memory ran out: torch, NumPy and CUDA each have their own."""
    while problem is not None:
        if isinstance(problem, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(problem, RuntimeError) and any(words in str(problem) for words in _SAID_OF_MEMORY):
            return True
        problem = problem.__cause__ or problem.__context__
    return False
