import pytest

from audit.engines.choice import Choice, map_tasks, opened
from audit.engines.jobs import Alone
from audit.engines.pool import Pool, spread
from audit.errors import GenbiasError, RunError, SourceError, SpecError


def _done(engine, tasks):
    told = []
    try:
        return dict(engine.run(tasks, told.append)), sum(told)
    finally:
        engine.close()


@pytest.fixture
def pool(jobs, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def make(workers=2, kind="Job"):
        return Pool(getattr(jobs, kind)(tmp_path), workers=workers)

    return make


def test_every_task_is_done_once_by_workers_of_one_thread_each(pool):
    tasks = [(i, "late" if i == 0 else "-", 1 if i == 0 else 0) for i in range(9)]
    found, told = _done(pool(), tasks)
    assert {at: result[0] for at, result in found.items()} == {i: i * i for i in range(9)}
    assert told == 18
    assert len({result[1] for result in found.values()}) == 2
    assert {result[2:] for result in found.values()} == {(1, "cpu", "1")}


def test_a_worker_that_dies_is_replaced_and_its_task_done_again(pool, capfd):
    found, told = _done(pool(), [(1, "die", 3), *((i, "-", 0) for i in range(2, 6))])
    assert {result[0] for result in found.values()} == {1, 4, 9, 16, 25}
    assert told == 10  # what the dead had told was taken back
    assert capfd.readouterr().err.count("number 1 is done again") == 3


def test_a_task_whose_workers_all_die_fails_the_run_with_its_name(pool):
    with pytest.raises(RunError, match=r"number 1 ended its worker 4 times \(SIGKILL") as caught:
        _done(pool(), [(1, "die", 9), (2, "-", 0)])
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(("what", "error", "said"), [("fail", SourceError, "a sentence from afar"), ("crash", RuntimeError, "ZeroDivisionError: a bug")])
def test_what_a_task_raises_is_raised_here(pool, what, error, said):
    with pytest.raises(error, match=said):
        _done(pool(1), [(1, what, 1)])


@pytest.mark.parametrize(("kind", "error", "said"), [("NeverBegins", RunError, "4 workers died while they started .exit code 7"),
                                                     ("CannotBegin", SourceError, "no file of that name here")])  # fmt: skip
def test_workers_that_cannot_start_are_a_sentence(pool, kind, error, said):
    with pytest.raises(error, match=said):
        _done(pool(1, kind), [(1, "-", 0)])


def test_a_job_that_does_not_travel_is_a_sentence(jobs, tmp_path):
    job = jobs.Job(tmp_path)
    job.function = lambda x: x
    with pytest.raises(GenbiasError, match="cannot be handed to worker processes"):
        Pool(job, workers=2)


def test_one_worker_is_this_process(jobs, tmp_path):
    import os

    with opened(Choice(), jobs.Job(tmp_path)) as engine:
        assert isinstance(engine, Alone)
        assert {r[1] for _, r in engine.run([(3, "-", 0)], lambda _: None)} == {os.getpid()}


def test_cuda_is_spread_over_the_cards_there_are(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert spread("cuda", 3) == ["cuda:0", "cuda:1", "cuda:0"]
    assert spread("cuda:1", 2) == ["cuda:1"] * 2
    assert spread("cpu", 2) == ["cpu"] * 2


@pytest.mark.parametrize(("given", "said"), [({"workers": 0}, "workers is 0; expected 1 or more"), ({"kind": "slurm"}, "expected one of local, ray"),
                                             ({"address": "a:1"}, "say --engine ray")])  # fmt: skip
def test_an_engine_that_cannot_be_is_a_sentence(given, said):
    with pytest.raises(SpecError, match=said) as caught:
        Choice(**given)
    assert caught.value.exit_code == 2


def test_functions_are_mapped_here_as_there(jobs):
    names = [f"number {i}" for i in range(3)]
    here = dict(map_tasks(jobs.square, range(3), choice=Choice(), names=names))
    assert here == {i: (i * i, "cpu") for i in range(3)}
    assert dict(map_tasks(jobs.square, range(3), choice=Choice(workers=2), names=names)) == here
