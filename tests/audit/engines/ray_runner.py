"""Starts Ray, which leaves processes and warnings behind, outside the test's own process.

    python ray_runner.py FOLDER local | always-killed | nodes
"""

import json
import sys
from pathlib import Path

from audit.engines import ray as engine_module
from audit.engines.choice import Choice, map_tasks
from audit.engines.ray import RayEngine
from audit.errors import GenbiasError

if __name__ == "__main__":  # pytest looks into every file for examples and must be able to import this one
    where, what = Path(sys.argv[1]), sys.argv[2]
    sys.path.insert(0, str(where))
    import engine_jobs  # (written by the test)


def done(engine, tasks):
    told = []
    try:
        return {"found": {at: result[0] for at, result in engine.run(tasks, told.append)}, "told": sum(told)}
    except GenbiasError as problem:
        return {"error": type(problem).__name__, "exit_code": problem.exit_code, "said": str(problem)}
    finally:
        engine.close()


def say(**facts):
    print(json.dumps(facts), flush=True)  # noqa: T201


def local():
    """One Ray for all: results, a killed worker, a task that always kills, a sentence, another version."""
    import ray

    engine_module._installed()
    engine_module._connect(ray, None, 2)
    job = engine_jobs.Job(where)
    say(name="results", **done(RayEngine(job, workers=2), [(i, "-", 0) for i in range(6)]))
    say(name="killed", **done(RayEngine(job, workers=1), [(11, "die", 1), (12, "-", 0)]))
    say(name="fails", **done(RayEngine(job, workers=1), [(21, "fail", 1)]))
    say(name="cannot begin", **done(RayEngine(engine_jobs.CannotBegin(where), workers=1), [(1, "-", 0)]))
    real = engine_module.who
    engine_module.who = lambda: {"version": "0.0.9", "source": "0" * 64}
    say(name="other version", **done(RayEngine(job, workers=1), [(1, "-", 0)]))
    engine_module.who = real
    say(name="map", found=dict(map_tasks(engine_jobs.square, [3, 4], choice=Choice("ray", 1), names=["a", "b"])))
    try:
        RayEngine(job, workers=64)
    except GenbiasError as problem:
        say(name="no room", said=str(problem))
    ray.shutdown()


def always_killed():
    say(name="always killed", **done(RayEngine(engine_jobs.Job(where), workers=1), [(31, "die", 9)]))


def audited(out, **options):
    """A small audit: everything of it that must not depend on who did the work."""
    from audit.audits import run
    from audit.spec import Spec

    drawn = {"source": "portraits", "population": "professors"}
    spec = Spec.model_validate({"name": "t", "samples": 30, "shard": 8, "gallery": 3, "attributes": ["skin_tone"], "instruments": {"skin_tone": "monk"},
                                "generators": {"g": drawn, "h": {**drawn, "compare_to": "g"}}})  # fmt: skip
    result = run(spec, out=where / out, device="cpu", **options).to_dict()
    result.pop("timings")
    for key in ("created", "commit"):
        result["provenance"].pop(key)
    files = {str(p.relative_to(where / out)): p.read_bytes().hex() for p in (where / out).rglob("*") if p.suffix in (".parquet", ".png")}
    return json.dumps([result, files], sort_keys=True, default=str)


def nodes():
    """Two nodes on one machine, the run on a folder that both see; then one of them goes away with its task."""
    import threading

    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 << 20})
    second = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    say(name="equal", same=audited("ray", engine="ray", address=cluster.address) == audited("here"))
    engine = RayEngine(engine_jobs.Job(where), address=cluster.address)
    threading.Timer(4.0, cluster.remove_node, [second], {"allow_graceful": False}).start()
    tasks = [(i, "wait", 99) for i in range(41, 49)]
    say(name="a node gone", workers=engine.workers, **done(engine, tasks))
    cluster.shutdown()


if __name__ == "__main__":
    {"local": local, "always-killed": always_killed, "nodes": nodes}[what]()
