"""The engine of one process hands over promises while the next task is done, and what was done before a failure."""

from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from audit.engines.jobs import Alone, settled


class Promising:
    """Doubles numbers, some at once and some later; refuses 13."""

    def __init__(self):
        self.hands, self.log = ThreadPoolExecutor(1), []

    def begin(self, place):
        pass

    def work(self, task, tell):
        self.log.append(task)
        if task == 13:
            raise KeyboardInterrupt
        return self.hands.submit(lambda: 2 * task) if task % 2 else 2 * task


def test_results_come_in_order_whether_promised_or_not():
    job = Promising()
    assert list(Alone(job).run([1, 3, 2, 5], lambda n: None)) == [(0, 2), (1, 6), (2, 4), (3, 10)]


def test_the_next_task_is_begun_before_a_promise_is_awaited():
    job = Promising()
    results = Alone(job).run([1, 3], lambda n: None)
    assert next(results) == (0, 2)
    assert job.log == [1, 3]


def test_what_was_promised_is_handed_over_before_the_next_failure():
    found = []
    with pytest.raises(KeyboardInterrupt):
        found.extend(Alone(Promising()).run([1, 13, 3], lambda n: None))
    assert found == [(0, 2)]


def test_a_promise_is_settled_and_anything_else_is_itself():
    promise = Future()
    promise.set_result(7)
    assert (settled(promise), settled(7)) == (7, 7)
