"""Self-training: Algorithm 1 of NExT, over a run folder.

    1. hard tasks: those of which the base model solves at most the share `hard`
    2. each round: sample from the current model, keep what passes all shown tests, tune the base again on it
    3. the round with the best pass@1 on the development set wins

Every stage is kept in the run folder: kill it at any moment, start again with the same settings, and it goes on.

    result = self_train(SelfTrainingSettings(rounds=2), Run("runs/mine"), train, dev)
    result.table
"""

from collections import Counter
from dataclasses import dataclass, field

from nextkit.evaluation import pass_rates
from nextkit.finetuning import Adapter
from nextkit.runs import Run
from nextkit.sampling import LocalSampler
from nextkit.settings import SelfTrainingSettings
from nextkit.stages import Evaluation, NothingKeptError, Stages

__all__ = ["Round", "SelfTrainingResult", "SelfTrainingSettings", "evaluate_model", "hard_tasks", "self_train"]


@dataclass(frozen=True)
class Round:
    """One round, 0 being the base.

    adapter: None for the base. hard_tasks: that were sampled from. solved: those of which a sample passed. drawn,
    passed: samples. kept: that were learnt from. dev: the Evaluation on the development tasks.
    """

    number: int
    adapter: Adapter | None = field(repr=False)
    dev: Evaluation = field(repr=False)  # long: all samples with their traces
    hard_tasks: int = 0
    solved: int = 0
    drawn: int = 0
    passed: int = 0
    kept: int = 0

    @property
    def dev_pass_at_1(self):
        """What the rounds are chosen by (line 7)."""
        return sum(pass_rates(self.dev.verdicts, 1)) / len(self.dev.verdicts)


@dataclass(frozen=True)
class SelfTrainingResult:
    """All rounds, the one that did best on dev, and a table with a row for each round and k."""

    rounds: tuple
    best: Round

    def _repr_html_(self):
        return self.curve._repr_html_()

    @property
    def table(self):
        """pass@k of every round on the development tasks, as `Evaluation.table` has it."""
        import pandas as pd

        return pd.concat([r.dev.table(model=_label(r)) for r in self.rounds]).reset_index(drop=True)

    @property
    def curve(self):
        """The learning curve: what each round drew, solved, kept, how it was tuned, and what came of it on dev."""
        import pandas as pd

        rows = []
        for r in self.rounds:
            tuned = (
                dict(steps=r.adapter.steps, loss=r.adapter.losses[-1], seconds=r.adapter.seconds) if r.adapter else {}
            )
            counts = {name: getattr(r, name) for name in ("hard_tasks", "solved", "drawn", "passed", "kept")}
            rows.append(dict(round=r.number) | counts | tuned | dict(dev_pass_at_1=r.dev_pass_at_1))
        return pd.DataFrame(rows).set_index("round")


def self_train(settings, run, train, dev, *, sampler=None, executor=None, on_round=None):
    """Algorithm 1; returns a SelfTrainingResult. Every stage resumes from the run folder, a Run or a path.

    executor: any concurrent.futures executor, for tracing and judging. on_round: called with the SelfTrainingResult so
    far whenever a round has ended, the base being round 0. Raises ValueError for a task that needs no repair or does not
    fit into a prompt, for empty lists and equal ids, or when no sample of a round passes.
    """
    on_round = on_round or (lambda result: None)
    _check_tasks(train, dev)
    run, rounds = run if isinstance(run, Run) else Run(run), []
    stages = Stages(settings, run, sampler or LocalSampler(settings.model), executor)
    with run.working(rounds=settings.rounds):
        stages.check([*train, *dev])
        for r in _rounds(stages, train, dev):
            rounds.append(r)
            on_round(_result(rounds))
    return _result(rounds)


def _check_tasks(train, dev):
    """Raises ValueError for an empty list, and where two tasks have one id, by which samples find their task."""
    for name, tasks in dict(train=train, dev=dev).items():
        if not tasks:
            raise ValueError(f"{name} holds no task: give at least one")
    for task_id, count in Counter(task.task_id for task in [*train, *dev]).items():
        if count > 1:
            raise ValueError(f"{count} of the tasks in train and dev have the id {task_id!r}: give each its own")


def _rounds(stages, train, dev):
    """Each Round as it ends, the base first."""
    for tasks in (dev, train):
        stages.prompts(tasks, tuned=False)  # whatever does not fit is found before anything is sampled
    yield Round(0, None, stages.evaluate(dev, None))
    hard, drawn = _hard(stages, train)
    count = None  # of random samples: in every round as many as in the first, where NExT keeps equally many
    for number in range(1, stages.settings.rounds + 1):
        last = _round(stages, number, hard, drawn, dev, count)
        count = count or last.kept
        yield last
        if number < stages.settings.rounds:
            drawn = stages.draw(hard, last.adapter)


def evaluate_model(settings, run, tasks, *, adapter=None, sampler=None, executor=None):
    """The Evaluation of the base, or of the base with an adapter, on tasks; kept in the run folder, a Run or a path.

    Raises ValueError for no tasks.
    """
    if not tasks:
        raise ValueError("there is no task to evaluate on: give at least one")
    run = run if isinstance(run, Run) else Run(run)
    with run.working():
        return Stages(settings, run, sampler or LocalSampler(settings.model), executor).evaluate(tasks, adapter)


def hard_tasks(tasks, verdicts, hard):
    """The tasks whose pass@1 is at most `hard` (Algorithm 1, line 1); verdicts: of the base, one list a task."""
    return [task for task, rate in zip(tasks, pass_rates(verdicts, 1), strict=True) if rate <= hard]


def _result(rounds):
    return SelfTrainingResult(tuple(rounds), max(rounds, key=lambda r: r.dev_pass_at_1))


def _hard(stages, train):
    """The hard tasks, and what the base draws for them; the samples that decide which are hard serve as both.

    Raises NothingKeptError where no task is hard.
    """
    s = stages.settings
    samples, verdicts = stages.draw(train, None, n=s.hard_samples)
    hard = hard_tasks(train, verdicts, s.hard)
    if not hard:
        raise NothingKeptError(
            f"none of {len(train)} tasks is hard: the base solves each in more than {s.hard:.0%} of its tries: take harder "
            "tasks, or raise hard"
        )
    if s.hard_samples not in (None, s.samples):
        return hard, stages.draw(hard, None)
    chosen = {*map(id, hard)}
    rows = [place for place, task in enumerate(train) if id(task) in chosen]
    return hard, ([samples[place] for place in rows], [verdicts[place] for place in rows])


def _round(stages, number, tasks, drawn, dev, count):
    """Lines 4 to 6: keep what passed of what the model so far drew, tune the base on it, evaluate."""
    samples, verdicts = drawn
    examples = stages.examples(tasks, samples, verdicts, count)
    tuned = stages.tune(number, examples)
    passed = [sum(v.status == "passed" for v in row) for row in verdicts]
    counts = dict(
        hard_tasks=len(tasks), solved=sum(map(bool, passed)), drawn=sum(map(len, samples)), passed=sum(passed)
    )
    return Round(number, tuned, stages.evaluate(dev, tuned), kept=len(examples), **counts)


def _label(r):
    return "base" if r.number == 0 else f"round {r.number}"
