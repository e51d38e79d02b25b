"""Mbpp-R: repair tasks made from MBPP's problems.

The paper has 10,047 training and 1,468 development tasks, whose buggy programs a model wrote. Here they come from the
wrong programs of whatever model you give, and, where those are not enough, from edits of MBPP's correct programs. The
training tasks are made from MBPP's training problems and the development tasks from its validation problems, so that
no problem is in both.

    train, dev = mbpp_r(load_mbpp("mbpp.jsonl"), out="data/mbpp-r")

or `python -m nextkit.datasets mbpp-r mbpp.jsonl --out data/mbpp-r`. What was found for a problem is stored at once: a
build that was interrupted goes on when it is called again with the same arguments.
"""

import math
import re
import warnings
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from pathlib import Path

from nextkit.datasets.buggy_programs import find_bugs
from nextkit.datasets.found import FoundStore
from nextkit.datasets.mbpp_r_card import write_card
from nextkit.sandbox import default_sandbox
from nextkit.tasks import RepairTask, save_tasks

SPLITS = {"train": "train", "dev": "validation"}
SPARE = 1.1  # asked of each problem beyond its share: what small programs cannot give, the others must


def mbpp_r(
    problems, *, out, train=10_047, dev=1_468, seed=0, wrong_samples=(), single=0.7, timeout=0.5, sandbox=None,
    progress=True,
):  # fmt: skip
    """(training tasks, development tasks), lists of RepairTask; also written to the folder `out`, with a data card.

    problems: what `load_mbpp` returns. train, dev: how many tasks, by default as many as the paper has, spread over
    the problems as evenly as these allow; where they do not give as many, all there are, with a warning.
    wrong_samples: Samples of a model, or pairs such as ("mbpp/601", "def ..."); the wrong ones among them are used
    first. single: the share of single edits among the edits, the others being double. timeout: seconds a program.

    A task's tests are the three of MBPP; challenge tests that the reference passes are its hidden tests. The same
    arguments give the same files, but for programs that need about as long as the timeout. Samples of problems
    that are not among these are not used. Raises ValueError for a task_id that is not of the form of MBPP's.
    """
    sandbox, out = sandbox or default_sandbox(), Path(out)
    samples = _by_number(wrong_samples)
    settings = dict(train=train, dev=dev, seed=seed, single=single, timeout=timeout)
    store = FoundStore(out, [settings, sorted(samples.items()), [asdict(problem) for problem in problems]])
    find = partial(_find, samples=samples, sandbox=sandbox, seed=seed, single=single, timeout=timeout)
    sets, found = {}, {}
    for name, wanted in dict(train=train, dev=dev).items():
        chosen = [problem for problem in problems if problem.split == SPLITS[name]]
        label = f"mbpp-r {name}" if progress else ""
        found[name] = _gather(chosen, wanted, find, store, sandbox.workers, label)
        sets[name] = _tasks(chosen, found[name], wanted, name)
        if len(sets[name]) < wanted:
            warnings.warn(f"{name}: {wanted} tasks were wanted, the problems give {len(sets[name])}", stacklevel=2)
    for name, tasks in sets.items():
        save_tasks(tasks, out / f"{name}.jsonl")
    write_card(out / "card.md", settings, sets, found, sum(map(len, samples.values())))
    store.remove()
    return sets["train"], sets["dev"]


def _by_number(wrong_samples):
    """Programs by number of the problem, in the order given."""
    programs = {}
    for sample in wrong_samples:
        task_id, program = (sample.task_id, sample.fix) if hasattr(sample, "fix") else sample
        named = re.fullmatch(r"(?:mbpp/|mbpp-r/)?(\d+)(?:/\d+)?", str(task_id))
        if not named:
            raise ValueError(f"a wrong sample names {task_id!r}: name a problem of MBPP, such as 'mbpp/601'")
        programs.setdefault(int(named[1]), []).append(program.replace("\r", ""))
    return programs


def _find(problem, wanted, *, samples, **settings):
    return find_bugs(problem, wanted, samples=samples.get(problem.number, ()), **settings)


def _gather(problems, wanted, find, store, workers, label):
    """The Found of each problem, by number, with `wanted` bugs in all where the problems have them.

    All are asked for a little more than their share; while that is too little, those that are not exhausted are asked
    for more.
    """
    found, asked, missing, quota = {}, problems, wanted, 0
    while asked and missing > 0:
        quota += math.ceil(SPARE * missing / len(asked))
        found |= _find_all(asked, quota, find, store, workers, label)
        missing = wanted - sum(len(one.bugs) for one in found.values())
        asked = [problem for problem in asked if not found[problem.number].exhausted]
    return found


def _find_all(problems, quota, find, store, workers, label):
    """The Found of each problem, from the store or made now and stored."""
    from tqdm.auto import tqdm

    found = {problem.number: store.get(problem.number, quota) for problem in problems}
    pool = ThreadPoolExecutor(workers)
    try:
        jobs = [pool.submit(find, problem, quota) for problem in problems if found[problem.number] is None]
        done = len(problems) - len(jobs)
        with tqdm(total=len(problems), initial=done, desc=label, unit="problem", disable=not label) as bar:
            for job in as_completed(jobs):
                found[job.result().number] = store.add(job.result())
                bar.update()
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupt must not wait for all the problems still to come
    return found


def _tasks(problems, found, wanted, split):
    """The tasks of a split; one of each problem, then a second one of each, so that any first part is diverse."""
    shares = _shares({number: len(one.bugs) for number, one in found.items()}, wanted)
    places = sorted((place, problem.number) for problem in problems for place in range(shares.get(problem.number, 0)))
    by_number = {problem.number: problem for problem in problems}
    return [_task(by_number[number], found[number], place, split) for place, number in places]


def _shares(supplies, wanted):
    """How many of the wanted each gives, by number, as even as the supplies allow."""
    shares, left = {}, wanted
    for place, number in enumerate(sorted(supplies, key=lambda number: (supplies[number], number))):
        shares[number] = min(supplies[number], left // (len(supplies) - place))
        left -= shares[number]
    return shares


def _task(problem, found, place, split):
    bug = found.bugs[place]
    return RepairTask(
        f"mbpp-r/{problem.number}/{place}",
        problem.description,
        bug.program,
        problem.tests,
        found.hidden,
        problem.setup,
        problem.reference,
        split,
        dict(problem=problem.number, source=bug.source, operators=list(bug.operators), status=bug.status),
        found.oracle,
    )
