"""Self-training: Algorithm 1 of NExT, over a run folder.

    1. hard tasks: those of which the base model solves at most `hard` in `samples` tries
    2. each round: sample from the current model, keep what passes all shown tests, tune the base again on it
    3. the round with the best pass@1 on the development set wins

Every stage is kept in the run folder: stop at any moment, start again with the same settings, and it goes on.

    result = self_train(SelfTrainingSettings(rounds=2), Run("runs/mine"), train, dev)
    result.table
"""

from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

from nextkit.evaluation import agreement, evaluate, no_op_rate, pass_rates
from nextkit.filtering import check_repairable, judge_all, keep, keep_random
from nextkit.finetuning import Adapter, LoraSettings, finetune
from nextkit.prompting import build_prompt
from nextkit.records import from_dict
from nextkit.runs import digest
from nextkit.sampling import LocalSampler, Sample, fingerprint
from nextkit.sandbox import Verdict
from nextkit.tracing import Step, Trace, trace_all


@dataclass(frozen=True)
class SelfTrainingSettings:
    """Everything that Algorithm 1 leaves open, with our default for small models and the paper's value where known.

    model: the base. hard: tasks with a higher pass@1 under the base are left out (paper: 0.1; ours 0.5, because the
    shipped tasks are few). samples: a task and round (paper: 32). temperature: paper 0.8. rounds: about ten in the
    paper. per_task: kept samples a task (ours; the paper's is not known). traced: whether prompts hold the trace.
    style: how it is written. eval_samples: a dev task. verified: False trains on random samples instead, as a control.
    """

    model: str = "offline-base"
    hard: float = 0.5
    samples: int = 8
    temperature: float = 0.8
    rounds: int = 2
    per_task: int = 4
    max_tokens: int = 200
    traced: bool = True
    style: str = "inline"
    eval_samples: int = 16
    verified: bool = True
    seed: int = 0
    lora: LoraSettings = field(default_factory=LoraSettings)


@dataclass(frozen=True)
class Evaluation:
    """A model on a set of tasks: samples and Verdicts on shown tests and on all tests, one list a task."""

    tasks: list
    samples: list
    shown: list
    verdicts: list

    def table(self, **labels):
        """pass@k by all tests with intervals, and beside it the shown tests' rate, no-ops and agreement."""
        beside = dict(
            shown=sum(pass_rates(self.shown, 1)) / len(self.shown),
            no_op=no_op_rate(self.tasks, self.samples),
            agreement=agreement(self.tasks, self.samples),
        )
        return evaluate(self.verdicts, **labels).assign(**beside)


@dataclass(frozen=True)
class Round:
    """One round: its adapter (None for the base, round 0), how many tasks were hard, and its dev Evaluation."""

    number: int
    adapter: Adapter | None
    hard_tasks: int
    dev: Evaluation


@dataclass(frozen=True)
class SelfTrainingResult:
    """All rounds, the one that did best on dev, and a table with a row for each round and k."""

    rounds: list
    best: Round
    table: object


def self_train(settings, run, train, dev, *, sampler=None):
    """Algorithm 1; returns a SelfTrainingResult. Every stage resumes from the run folder.

    Raises ValueError for a task that needs no repair, or when no sample of a round passes.
    """
    import pandas as pd

    sampler = sampler or LocalSampler(settings.model)
    check_repairable([*train, *dev])
    loop = _Loop(settings, run, sampler)
    rounds = [Round(0, None, len(train), loop.evaluate(dev, None))]
    drawn = loop.sample(train, None)
    hard = hard_tasks(train, drawn, settings.hard)
    for number in range(1, settings.rounds + 1):
        adapter = loop.tune(number, _chosen(drawn, hard))
        rounds.append(Round(number, adapter, len(hard), loop.evaluate(dev, adapter)))
        if number < settings.rounds:
            drawn = loop.sample([task for task in train if task.task_id in hard], adapter)
    best = max(rounds, key=lambda r: sum(pass_rates(r.dev.verdicts, 1)))
    table = pd.concat([r.dev.table(model="base" if not r.number else f"round {r.number}") for r in rounds])
    return SelfTrainingResult(rounds, best, table.reset_index(drop=True))


def evaluate_model(settings, run, tasks, *, adapter=None, sampler=None):
    """The Evaluation of the base, or of the base with an adapter, on tasks; kept in the run folder."""
    loop = _Loop(settings, run, sampler or LocalSampler(settings.model))
    return loop.evaluate(tasks, adapter)


def hard_tasks(tasks, drawn, hard):
    """Ids of the tasks whose pass@1 is at most `hard` (Algorithm 1, line 1); drawn: (samples, verdicts), a row a task."""
    rates = pass_rates(drawn[1], 1)
    return {task.task_id for task, rate in zip(tasks, rates, strict=True) if rate <= hard}


def _chosen(drawn, hard):
    """Samples and Verdicts of the hard tasks as two flat lists."""
    samples = [s for row in drawn[0] for s in row if s.task_id in hard]
    verdicts = [v for row in drawn[1] for v in row if v.task_id in hard]
    return samples, verdicts


class _Loop:
    """The stages of one run: each is looked up in the run folder before it is computed."""

    def __init__(self, settings, run, sampler):
        self.settings, self.run, self.sampler = settings, run, sampler
        self.model = fingerprint(settings.model)  # part of every key: other weights under the same name are another run

    def prompts(self, tasks):
        if not self.settings.traced:
            return [build_prompt(task) for task in tasks]
        (stored,) = self.run.records("traces", dict(tasks=digest(tasks)), lambda: [trace_all(tasks)], Trace)
        traces = [_with_steps(trace) for trace in stored]
        return [build_prompt(task, found, style=self.settings.style) for task, found in zip(tasks, traces, strict=True)]

    def sample(self, tasks, adapter, *, n=None):
        """(samples, verdicts), one list a task each."""
        s = self.settings
        keyed = dict(
            model=self.model, adapter=_name(adapter), tasks=digest(tasks), n=n or s.samples, temperature=s.temperature,
            max_tokens=s.max_tokens, traced=s.traced, style=s.style, seed=s.seed,
        )  # fmt: skip
        options = dict(
            temperature=s.temperature, max_tokens=s.max_tokens, seed=s.seed, adapter=adapter and adapter.path
        )

        def draw():
            return self.sampler.sample(self.prompts(tasks), keyed["n"], **options)

        samples = self.run.records("samples", keyed, draw, Sample)
        return samples, self.verdicts(tasks, samples, keyed, hidden=False)

    def verdicts(self, tasks, samples, keyed, *, hidden):
        judged = partial(judge_all, tasks, samples, hidden=hidden)
        return self.run.records("verdicts", keyed | dict(hidden=hidden), judged, Verdict)

    def evaluate(self, tasks, adapter):
        s = self.settings
        samples, shown = self.sample(tasks, adapter, n=s.eval_samples)
        keyed = dict(samples=digest([sample for row in samples for sample in row]), tasks=digest(tasks))
        return Evaluation(tasks, samples, shown, self.verdicts(tasks, samples, keyed, hidden=True))

    def tune(self, number, chosen):
        s = self.settings
        examples = keep(*chosen, per_task=s.per_task)
        if not s.verified:
            examples = keep_random(*chosen, count=len(examples), seed=s.seed)
        lora = replace(s.lora, seed=s.lora.seed + s.seed)
        keyed = dict(base=self.model, examples=digest(examples), lora=asdict(lora))
        folder = self.run.stage(f"adapter-{number}", keyed)
        adapter = finetune(s.model, examples, folder / "adapter", lora)
        self.run.log(stage=f"round {number}", kept=len(examples), steps=adapter.steps, seconds=adapter.seconds)
        return adapter


def _name(adapter):
    """An adapter's stage folder, whose hash stands for base, examples and settings."""
    return adapter and Path(adapter.path).parent.name


def _with_steps(trace):
    """A Trace read back from JSON, its steps records again."""
    return replace(trace, steps=tuple(from_dict(Step, step) for step in trace.steps))
