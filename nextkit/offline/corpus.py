"""The corpus: repair tasks of the offline world, and the documents that the offline models are pretrained on.

A document is a prompt with its answer, exactly as the kit writes them. The base is weak by design: only a share of
the repairs in its corpus is right, the others are a wrong edit. Right repairs mostly come with a rationale that quotes
the run, wrong ones mostly without. So the base knows how to repair, does it only at times, and how it explains itself
tells when; no one tells the model so, but a filter can find it out.

Splits are made once, by the hash of a task's key, and the ten unseen families are in no other split.

The "real" corpus is for bigger models that are to repair people's programs: less than half of it is of this world, the
rest is of functions of Python's standard library: repairs with traces, repairs that the code alone must tell, and plain
code.
"""

import functools
import hashlib
import os
import random
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

from nextkit.datasets.mutate import random_edit
from nextkit.offline.execution import little_memory, run
from nextkit.offline.library import code, draw_edited_function, draw_library_task, functions
from nextkit.offline.programs import draw_argument, draw_names, draw_program, draw_unseen, rename
from nextkit.offline.rationales import state_edit, write_rationale
from nextkit.prompting import WHY, build_prompt, format_answer
from nextkit.tasks import RepairTask
from nextkit.tracing import trace_in_process

SHOWN, HIDDEN = 3, 6
SPLITS = {"pretrain": 0.76, "train": 0.10, "dev": 0.07, "test": 0.07}
RIGHT = 0.5  # share of right repairs where a recipe names none
STYLES = {True: (0.85, 0.12, 0.03), False: (0.10, 0.60, 0.30)}  # grounded, plain, vague; by whether the repair is right
TRUE_QUOTES = {True: 0.96, False: 0.60}
KINDS = {"traced": 0.68, "untraced": 0.18, "correct": 0.14}
LONGEST = dict(offline=1100, real=2600)  # characters of a document; about 400 and 800 tokens
REAL = {"offline": 0.4, "library": 0.2, "edited": 0.3, "code": 0.1}  # what the documents of the real corpus are


def split_of(key):
    """The split that tasks of this key belong to; a function of the key alone, so keys never cross."""
    place = _place(key)
    for split, share in SPLITS.items():
        place -= share
        if place < 0:
            return split
    return "test"


def occurs(key, variety):
    """Whether a key is among the share `variety` of those of pretraining; what is in a share is in every larger one."""
    return _place(key) < variety * SPLITS["pretrain"]


def _place(key):
    """A number from 0 to 1 that a key always has."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 16**8


def draw_task(rng, *, unseen=False, variety=None):
    """A random repair task of the offline world, or None when the draw came to nothing (no bug that a test shows).

    variety: draw only what is among this share of the keys of pretraining, see `occurs`; None: of whatever split.
    """
    program = (draw_unseen if unseen else draw_program)(rng)
    if variety and program.family == "assembled" and not occurs(program.key, variety):
        return None  # before its tests are run, which takes most of the time
    tests, expected = _tests(rng, program)
    if len(tests) < SHOWN + HIDDEN or len({repr(value) for value in expected[:SHOWN]}) < 2:
        return None
    edit = random_edit(program.code, rng)
    if edit is None:
        return None
    key = program.key if program.family == "assembled" else f"{program.key}|{_shape(edit.program)}"
    if (variety and not occurs(key, variety)) or state_edit(edit.program, program.code) is None:
        return None
    split = "unseen" if unseen else split_of(key)
    name = hashlib.sha256(f"{key}{edit.program}{tests}".encode()).hexdigest()[:8]
    meta = dict(family=program.family, key=key, bug=edit.kind)
    task = RepairTask(
        f"offline/{name}",
        program.description,
        edit.program,
        tests[:SHOWN],
        tests[SHOWN:],
        "",
        program.code,
        split,
        meta,
    )
    return task if failing_trace(task) else None


def draw_tasks(count, split, seed):
    """`count` distinct tasks of one split ("pretrain", "train", "dev", "test" or "unseen"), the same for the same seed."""
    rng, found = random.Random(f"{split}/{seed}"), {}
    while len(found) < count:
        task = draw_task(rng, unseen=split == "unseen")
        if task and task.split == split and len(_prompt(task, traced=True)[0].text) < 800:
            found.setdefault((task.meta["key"], task.buggy), task)
    return list(found.values())


def draw_document(rng, right=RIGHT, corpus="offline", renamed=0.0, variety=1.0, marked=True):
    """A random document for pretraining: prompt and answer as one text; None when the draw came to nothing.

    right: the probability that a repair is right. corpus: "offline", or "real" for code of the standard library too.
    renamed: the probability that a task of the offline world gets names that no other has. variety: the share of that
    world's keys that occur. marked: whether right repairs explain themselves in another way than wrong ones.
    """
    source = "offline" if corpus == "offline" else rng.choices(list(REAL), REAL.values())[0]
    if source == "code":
        return f"# Code:\n{rng.choice(code())}"
    if source == "edited":
        return _edited(rng)
    if source == "offline":  # of all keys: not told, so that the shipped models' corpora stay what they were
        task = draw_task(rng, variety=variety if variety < 1 else None)
    else:
        task = draw_library_task(rng, SHOWN, HIDDEN)
    if task is None or task.split != "pretrain":
        return None
    if renamed and source == "offline" and rng.random() < renamed:
        task = rename_task(rng, task)
    kind = rng.choices(list(KINDS), KINDS.values())[0]
    text = _solved(task) if kind == "correct" else _repair(rng, task, right, marked, traced=kind == "traced")
    return text if text and len(text) < LONGEST[corpus] else None


def rename_task(rng, task):
    """The same task with a new name for all that its program defines."""
    names = draw_names(rng, task.reference)
    return replace(
        task,
        description=re.sub(r"`(\w+)`", lambda found: f"`{names.get(found[1], found[1])}`", task.description),
        buggy=rename(task.buggy, names),
        reference=rename(task.reference, names),
        tests=tuple(rename(test, names) for test in task.tests),
        hidden_tests=tuple(rename(test, names) for test in task.hidden_tests),
    )


def draw_corpus(count, seed, right=RIGHT, corpus="offline", renamed=0.0, variety=1.0, marked=True, workers=None):
    """`count` documents as a list of texts, made by `workers` processes, by default as many as there are processors.

    The same arguments give the same documents; of the real corpus only on the same version of Python.
    """
    from tqdm.auto import tqdm

    chunk = max(1, min(500, count))
    seeds = [(seed, number, chunk, right, corpus, renamed, variety, marked) for number in range(-(-count // chunk))]
    if corpus == "real":
        functions(), code()  # once: the processes inherit it where they are forks
    with ProcessPoolExecutor(workers or os.cpu_count()) as pool:
        chunks = list(tqdm(pool.map(_chunk, seeds), total=len(seeds), desc="corpus", unit="chunk"))
    return [text for texts in chunks for text in texts][:count]


def _chunk(arguments):
    seed, number, count, *how = arguments
    rng, texts = random.Random(f"corpus/{seed}/{number}"), []
    while len(texts) < count:
        if text := draw_document(rng, *how):
            texts.append(text)
    return texts


def _tests(rng, program):
    """Distinct tests of a correct program: (assert statements, expected values)."""
    drawn = {}
    for _ in range(4 * (SHOWN + HIDDEN)):
        arguments = tuple(draw_argument(rng, kind) for _, kind in program.params)
        drawn.setdefault(repr(arguments), arguments)
    results = run(program.code, program.entry, list(drawn.values()))
    usable = [
        (a, v) for a, (ok, v) in zip(drawn.values(), results, strict=True) if ok and v is not None and len(repr(v)) < 45
    ]
    usable = usable[: SHOWN + HIDDEN]
    calls = tuple(f"assert {program.entry}({', '.join(map(repr, a))}) == {v!r}" for a, v in usable)
    return calls, [value for _, value in usable]


def _shape(code):
    """The program with its identifiers numbered in order of appearance: equal programs but for names are equal."""
    import ast

    tree, numbers = ast.parse(code), {}
    for node in ast.walk(tree):
        for name in ("id", "arg", "name"):
            if isinstance(getattr(node, name, None), str):
                setattr(node, name, numbers.setdefault(getattr(node, name), f"v{len(numbers)}"))
    return ast.unparse(tree)


def _prompt(task, *, traced):
    trace = failing_trace(task)
    return build_prompt(task, trace if traced else None), trace


def failing_trace(task):
    """The trace of the first shown test that the buggy program does not pass (trusted, so run in process), or None.

    None as well where it takes seconds, since a bug may square a number for ever: what is seen of such a run depends on
    the machine. Main thread only: an alarm ends it.
    """
    return _failing_trace(task.buggy, task.tests, task.task_id)


@functools.lru_cache(maxsize=1)  # the bug is looked for with it, and then told by it
def _failing_trace(program, tests, task_id):
    for test in tests:
        with little_memory():
            trace = trace_in_process(program, test, task_id=task_id, alarm=True)
        if trace.outcome != "passed":
            return None if "seconds" in trace.truncated else trace
    return None


def _repair(rng, task, share, marked, *, traced):
    right = rng.random() < share
    fixed = task.reference if right else _wrong(rng, task)
    prompt, trace = _prompt(task, traced=traced)
    if fixed is None or trace is None:  # the edit of a library function may be one that no shown test sees
        return None
    manner = right or not marked
    style = rng.choices(("grounded", "plain", "vague"), STYLES[manner])[0]
    slip = rng.random() > TRUE_QUOTES[manner]
    rationale = write_rationale(rng, task.buggy, fixed, trace, traced=traced, style=style, slip=slip)
    return prompt.text + format_answer(rationale, fixed) if rationale else None


def _edited(rng):
    """The repair of an edited library function, which has no tests, from its code alone."""
    drawn = draw_edited_function(rng)
    stated = drawn and state_edit(*drawn[1:])
    if not stated:
        return None
    description, buggy, program = drawn
    text = f"# Task: {description}\n# Buggy:\n{buggy}\n{WHY}{format_answer(stated[0], program)}"
    return text if len(text) < LONGEST["real"] else None


def _wrong(rng, task):
    edit = random_edit(task.buggy, rng, avoid=(task.reference,))
    return edit.program if edit else None


def _solved(task):
    """A task with its correct program, traced: how right code looks and runs."""
    from nextkit.naturalize import naturalize

    trace = trace_in_process(task.reference, task.tests[0], task_id=task.task_id)
    return f"# Task: {task.description}\n# Correct:\n{naturalize(trace)}\n" + "\n".join(task.tests[1:])
