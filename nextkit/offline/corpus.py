"""The corpus: the documents that the offline models are pretrained on.

A document is a prompt with its answer, exactly as the kit writes them. The base is weak by design: only a share of
the repairs in its corpus is right, the others are a wrong edit. Right repairs mostly come with a rationale that quotes
the run, wrong ones mostly without. So the base knows how to repair, does it only at times, and how it explains itself
tells when; no one tells the model so, but a filter can find it out.

The "real" corpus is for bigger models that are to repair people's programs: less than half of it is of this world, the
rest is of functions of Python's standard library: repairs with traces, repairs that the code alone must tell, and plain
code. The "stated" corpus is of shorter such repairs, whose answers end with the edit that they state (`offline.stated`).
"""

import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from nextkit.datasets.mutate import random_edit
from nextkit.offline.library import code, draw_edited_function, draw_library_task, functions
from nextkit.offline.rationales import state_edit, write_rationale
from nextkit.offline.repairs import HIDDEN, SHOWN, draw_task, failing_trace, rename_task
from nextkit.parallel import cores
from nextkit.prompting import FIX, WHY, build_prompt, format_answer
from nextkit.tracing import trace_in_process

STYLES = {True: (0.85, 0.12, 0.03), False: (0.10, 0.60, 0.30)}  # grounded, plain, vague; by whether the repair is right
STATED = (0.85, 0.15, 0.0)  # the same where there is nothing but the edit
TRUE_QUOTES = {True: 0.96, False: 0.60}
KINDS = {"traced": 0.68, "untraced": 0.18, "correct": 0.14}
REPAIRS = {"traced": 0.85, "untraced": 0.15}  # the same where there is no answer without an edit
LONGEST = dict(offline=1100, real=2600, stated=1500)  # characters of a document; about 400, 800 and 600 tokens
SOURCES = {  # what the documents of a corpus are
    "real": {"offline": 0.4, "library": 0.2, "edited": 0.3, "code": 0.1},
    "stated": {"offline": 0.35, "library": 0.15, "edited": 0.5},
}


@dataclass(frozen=True)
class Mixture:
    """What the documents of a corpus are like, as probabilities.

    right: that a repair is right. renamed: that a task of the offline world gets names that no other has. untold: that
    neither its description nor its code tells how to mend it. variety: the share of that world's keys that occur. marked:
    whether right repairs explain themselves in another way than wrong ones. corpus: "offline", "real" for code of the
    standard library too, or "stated" for such repairs of which only the edit is stated.
    """

    right: float = 0.5
    renamed: float = 0.0
    untold: float = 0.0
    variety: float = 1.0
    marked: bool = True
    corpus: str = "offline"


def draw_document(rng, mixture):
    """A random document of a Mixture: prompt and answer as one text; None when the draw came to nothing."""
    source = _one_of(rng, SOURCES[mixture.corpus]) if mixture.corpus in SOURCES else "offline"
    if source == "code":
        return f"# Code:\n{rng.choice(code())}"
    if source == "edited":
        return _edited(rng, mixture)
    task = _offline_task(rng, mixture) if source == "offline" else draw_library_task(rng, SHOWN, HIDDEN)
    if task is None or task.split != "pretrain":
        return None
    if mixture.renamed and source == "offline" and rng.random() < mixture.renamed:
        task = rename_task(rng, task)
    kind = _one_of(rng, REPAIRS if mixture.corpus == "stated" else KINDS)
    text = _solved(task) if kind == "correct" else _repair(rng, task, mixture, traced=kind == "traced")
    return text if text and len(text) < LONGEST[mixture.corpus] else None


def _one_of(rng, weights):
    return rng.choices(list(weights), weights.values())[0]


def _offline_task(rng, mixture):
    """A task, or None. What is certain takes no draw, so that the corpora of earlier recipes stay what they were."""
    untold = bool(mixture.untold) and rng.random() < mixture.untold
    return draw_task(rng, variety=mixture.variety if mixture.variety < 1 else None, untold=untold)


def draw_corpus(count, seed, mixture, workers=None):
    """`count` documents of a Mixture as a list of texts, made by `workers` processes, by default one a processor.

    The same arguments give the same documents; of the real corpus only on the same version of Python.
    """
    from tqdm.auto import tqdm

    chunk = max(1, min(500, count))
    chunks = [(seed, number, chunk, mixture) for number in range(-(-count // chunk))]
    if mixture.corpus in SOURCES:
        functions(), code()  # once: the processes inherit it where they are forks
    with ProcessPoolExecutor(workers or cores()) as pool:
        drawn = list(tqdm(pool.map(_chunk, chunks), total=len(chunks), desc="corpus", unit="chunk"))
    return [text for texts in drawn for text in texts][:count]


def _chunk(arguments):
    seed, number, count, mixture = arguments
    rng, texts = random.Random(f"corpus/{seed}/{number}"), []
    while len(texts) < count:
        if text := draw_document(rng, mixture):
            texts.append(text)
    return texts


def _repair(rng, task, mixture, *, traced):
    right = rng.random() < mixture.right
    fixed = task.reference if right else _wrong(rng, task)
    trace = failing_trace(task)
    if fixed is None or trace is None:  # the edit of a library function may be one that no shown test sees
        return None
    manner = right or not mixture.marked
    style = rng.choices(("grounded", "plain", "vague"), STATED if mixture.corpus == "stated" else STYLES[manner])[0]
    slip = rng.random() > TRUE_QUOTES[manner]
    rationale = write_rationale(rng, task.buggy, fixed, trace, traced=traced, style=style, slip=slip)
    if rationale is None:
        return None
    return build_prompt(task, trace if traced else None).text + _answer(rationale, fixed, mixture)


def _answer(rationale, fix, mixture):
    answer = format_answer(rationale, fix)
    return answer.partition(FIX)[0] + FIX if mixture.corpus == "stated" else answer


def _edited(rng, mixture):
    """The repair of an edited library function, which has no tests, from its code alone."""
    drawn = draw_edited_function(rng)
    stated = drawn and state_edit(*drawn[1:])
    if not stated:
        return None
    description, buggy, program = drawn
    text = f"# Task: {description}\n# Buggy:\n{buggy}\n{WHY}{_answer(stated[0], program, mixture)}"
    return text if len(text) < LONGEST[mixture.corpus] else None


def _wrong(rng, task):
    edit = random_edit(task.buggy, rng, avoid=(task.reference,))
    return edit.program if edit else None


def _solved(task):
    """A task with its correct program, traced: how right code looks and runs."""
    from nextkit.naturalize import naturalize

    trace = trace_in_process(task.reference, task.tests[0], task_id=task.task_id)
    return f"# Task: {task.description}\n# Correct:\n{naturalize(trace)}\n" + "\n".join(task.tests[1:])
