"""Stages: sampling, judging and tuning over a run folder, each looked up there before it is computed.

A stage's key holds everything that its result depends on: weights, tasks, prompts, settings. Long stages are stored in
parts, so that a kill costs one part and never the stage.
"""

import os
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

from nextkit.evaluation import evaluate, no_op_rate, pass_rates, problems
from nextkit.few_shot import few_shot, instruction
from nextkit.filtering import check_repairable, judge_all, judge_buggy, keep, keep_random, of_shown_tests
from nextkit.finetuning import finetune
from nextkit.grounding import agreement, faithful, truth
from nextkit.prompting import build_prompt
from nextkit.records import from_dict
from nextkit.runs import digest
from nextkit.sampling import Sample, as_fix, fingerprint, resolve_model, weights_of
from nextkit.sandbox import Verdict
from nextkit.tracing import Step, Trace, trace_all


@dataclass(frozen=True)
class Evaluation:
    """A model on a set of tasks: samples, Verdicts on shown tests and on all tests, one list a task; and Traces."""

    tasks: list
    samples: list
    shown: list
    verdicts: list
    traces: list

    def table(self, **labels):
        """pass@k by all tests with intervals, and beside it the shown tests' rate, no-ops, agreement and truth."""
        beside = dict(
            shown=sum(pass_rates(self.shown, 1)) / len(self.shown),
            no_op=no_op_rate(self.tasks, self.samples),
            agreement=agreement(self.tasks, self.samples),
            truth=truth(self.samples, self.traces),
        )
        return evaluate(self.verdicts, clusters=problems(self.tasks), **labels).assign(**beside)

    @property
    def tokens(self):
        """How many tokens were generated."""
        return sum(sample.tokens for row in self.samples for sample in row)


class NothingKeptError(ValueError):
    """No sample of a round was kept, so there is nothing to learn from."""


class Stages:
    """The stages of one run with these settings; adapter: None for the base. executor: for tracing and judging."""

    def __init__(self, settings, run, sampler, executor=None):
        self.settings, self.run, self.sampler, self.executor = settings, run, sampler, executor
        self._prompts = {}  # by tasks and reader: each round asks for the same ones
        self.chat = getattr(sampler, "chat", False)  # tuning must see the prompts that sampling will
        _check_same_model(settings, sampler)
        self.model = fingerprint(settings.model)  # part of every key: other weights under the same name are another run

    def traces(self, tasks):
        """The Trace of each task's buggy program."""
        made = partial(_trace, executor=self.executor)
        key = dict(tasks=digest(tasks), told=Step.__match_args__)  # traces that told less are made anew
        stored = self.run.parts("traces", key, tasks, made, Trace, self.settings.part)
        return [_with_steps(trace) for (trace,) in stored]

    def check(self, tasks):
        """Raises ValueError where a buggy program needs no repair."""
        judged = partial(_judge_buggy, executor=self.executor)
        keyed = dict(tasks=digest(tasks), hidden=False, of="buggy programs")
        stored = self.run.parts("verdicts", keyed, tasks, judged, Verdict, self.settings.part)
        check_repairable(tasks, [verdict for (verdict,) in stored])

    def prompts(self, tasks, *, tuned):
        """The Prompt of each task; the base's begins with instruction and examples, a tuned model needs none."""
        key = digest(tasks), tuned
        if key not in self._prompts:
            self._prompts[key] = self._build(tasks, tuned)
        return self._prompts[key]

    def _build(self, tasks, tuned):
        s = self.settings
        traces = [None] * len(tasks) if s.shown == "nothing" else self.traces(tasks)
        how = dict(style="outcome" if s.shown == "outcome" else s.style, rationale=s.rationale)
        before = {} if tuned else _before(s, **how)
        if hasattr(self.sampler, "room"):
            examples = len(before.get("few_shot", ()))
            how |= dict(room=self.sampler.room(s.max_tokens, examples), length=self.sampler.length)
        how |= before
        return [build_prompt(task, trace, **how) for task, trace in zip(tasks, traces, strict=True)]

    def sample(self, tasks, adapter, *, n=None):
        """Samples, one list a task."""
        s = self.settings
        prompts = self.prompts(tasks, tuned=adapter is not None)
        keyed = dict(
            model=self.model, chat=self.chat, **getattr(self.sampler, "identity", {}),
            adapter=_name(adapter), weights=adapter and weights_of(adapter.path), prompts=digest(prompts), n=n or s.samples,
            temperature=s.temperature, max_tokens=s.max_tokens, seed=s.seed,
        )  # fmt: skip
        draw = partial(self._draw, n=keyed["n"], adapter=adapter)
        return self.run.parts("samples", keyed, prompts, draw, Sample, s.part)

    def _draw(self, prompts, number, *, n, adapter):
        s = self.settings
        how = dict(temperature=s.temperature, max_tokens=s.max_tokens, adapter=adapter and adapter.path)
        rows = self.sampler.sample(prompts, n, seed=s.seed + 7919 * number, **how)
        return rows if s.rationale else [list(map(as_fix, row)) for row in rows]

    def draw(self, tasks, adapter, *, n=None):
        """(samples, Verdicts on the shown tests), one list a task each."""
        samples = self.sample(tasks, adapter, n=n)
        return samples, self.judge(tasks, samples, hidden=False)

    def judge(self, tasks, samples, *, hidden):
        """Verdicts, one list a task. hidden: whether the hidden tests decide as well."""
        keyed = dict(samples=digest(chain(*samples)), tasks=digest(tasks), hidden=hidden)
        pairs = list(zip(tasks, samples, strict=True))
        judged = partial(_judge, hidden=hidden, executor=self.executor)
        return self.run.parts("verdicts", keyed, pairs, judged, Verdict, self.settings.part)

    def evaluate(self, tasks, adapter):
        """The Evaluation of the base, or of the base with an adapter."""
        samples = self.sample(tasks, adapter, n=self.settings.eval_samples)
        verdicts = self.judge(tasks, samples, hidden=True)
        self._tell(tasks, adapter, verdicts)
        shown = [[of_shown_tests(task, v) for v in row] for task, row in zip(tasks, verdicts, strict=True)]
        return Evaluation(tasks, samples, shown, verdicts, self.traces(tasks))

    def _tell(self, tasks, adapter, verdicts):
        """The rates of an evaluation among the events, once, for whoever watches the run."""
        key = digest(chain(*verdicts))
        if any(event.get("evaluation") == key for event in self.run.events()):
            return
        table = evaluate(verdicts, clusters=problems(tasks))
        rates = table[["k", "pass_at_k", "low", "high"]].values.tolist()
        counts = dict(tasks=len(tasks), samples=len(verdicts[0]))
        self.run.log(evaluation=key, adapter=_name(adapter), of=digest(tasks), rates=rates, **counts)

    def examples(self, tasks, samples, verdicts, count=None):
        """What is learnt from these tasks, as the settings choose it; its prompts are those of a tuned model.

        count: of random samples; None for as many as passed and would have been kept.
        """
        s, flat, judged = self.settings, list(chain(*samples)), list(chain(*verdicts))
        if s.kept == "faithful":
            judged = [_unless(v, faithful(*of)) for v, of in zip(judged, self._told(tasks, samples), strict=True)]
        examples = keep(flat, judged, per_task=s.per_task, distinct=s.distinct)
        if s.kept == "random":
            examples = keep_random(flat, judged, count=count or len(examples), seed=s.seed, distinct=s.distinct)
        prompts = {prompt.task_id: prompt.text for prompt in self.prompts(tasks, tuned=True)}
        return [replace(example, prompt=prompts[example.task_id]) for example in examples]

    def _told(self, tasks, samples):
        """(task, sample, trace) of each sample."""
        triples = zip(tasks, samples, self.traces(tasks), strict=True)
        return [(task, sample, trace) for task, row, trace in triples for sample in row]

    def tune(self, number, examples):
        """The Adapter of a round."""
        s = self.settings
        if not examples:
            raise NothingKeptError(
                f"round {number} has nothing to learn from: of its samples none was kept (kept={s.kept!r}); sample more per "
                "task, raise the hard-task threshold, or start from easier tasks"
            )
        lora = replace(s.lora, seed=s.lora.seed + s.seed)
        keyed = dict(base=self.model, examples=digest(examples), lora=asdict(lora), chat=self.chat)
        out = self.run.stage(f"adapter-{number}", keyed) / "adapter"
        if not out.exists():
            self.run.begin(out.parent, examples=len(examples))
            getattr(self.sampler, "release", lambda: None)()  # tuning wants the memory
        adapter = finetune(s.model, examples, out, lora, chat=self.chat, apart=s.apart)
        if self.run.unlogged([out]):
            self.run.stored(out, seconds=adapter.seconds, steps=adapter.steps)
        return adapter


def _before(settings, style, rationale):
    """What stands before the base's prompts: texts of the caller's, or the kit's own, in the form of these prompts."""
    how = dict(style=None if settings.shown == "nothing" else style, rationale=rationale)
    shots, told = settings.few_shot, settings.instruction
    return dict(
        few_shot=few_shot(shots, **how) if isinstance(shots, int) else shots,
        instruction=(instruction(**how) if told else "") if isinstance(told, bool) else told,
    )


def _trace(tasks, number, executor):
    return [[trace] for trace in trace_all(tasks, executor)]


def _judge_buggy(tasks, number, executor):
    return [[verdict] for verdict in judge_buggy(tasks, executor)]


def _judge(pairs, number, hidden, executor):
    tasks, samples = zip(*pairs, strict=True)
    return judge_all(tasks, samples, executor, hidden=hidden)


def _unless(verdict, kept):
    """The Verdict, or one that is not passed where the sample is not to be kept."""
    return verdict if kept or verdict.status != "passed" else replace(verdict, status="failed")


def _check_same_model(settings, sampler):
    """Raises ValueError where a local sampler has other weights than those that are tuned."""
    path = getattr(sampler, "path", None)
    if isinstance(path, str) and os.path.realpath(path) != os.path.realpath(resolve_model(settings.model)):
        raise ValueError(
            f"the sampler's model is {path!r}, the settings' {settings.model!r}: what one writes cannot tune the other; "
            "name the same model in both"
        )


def _name(adapter):
    """An adapter's stage folder, whose hash stands for base, examples and settings."""
    return adapter and Path(adapter.path).parent.name


def _with_steps(trace):
    """A Trace read back from JSON, its steps records again."""
    return replace(trace, steps=tuple(from_dict(Step, step) for step in trace.steps))
