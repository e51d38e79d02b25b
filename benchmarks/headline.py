"""The headline: NExT with the shipped base on the test set, unseen families and untold tasks, over three seeds.

    python benchmarks/headline.py        # two hours a seed on a core; resumes; prints the data card's tables, draws headline.svg
    python benchmarks/headline.py --model FOLDER --seeds 0 --sets untold

For the test set and the unseen families a model is tuned on `train`, for the untold tasks on `untold-train`. Nothing
here chooses anything: of two rounds the best on dev counts, and all settings are the defaults. Each seed draws its own
samples, adapters and blind edits; a task's rate is its mean over the seeds, and intervals come from resampling the
tasks.
"""

import argparse
import statistics
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

from nextkit.demo import COLDER, LEARNT_FROM, TOLD, UNTOLD
from nextkit.evaluation import blind_edit, interval, no_op_rate, pass_rates
from nextkit.filtering import judge_all, unchanged
from nextkit.grounding import agreement
from nextkit.plotting import BLUE, GREY, ORANGE
from nextkit.prompting import Prompt, build_prompt
from nextkit.runs import Run, digest
from nextkit.sampling import LocalSampler, Sample, fingerprint
from nextkit.selftraining import SelfTrainingSettings, evaluate_model, self_train
from nextkit.tasks import load_tasks
from nextkit.tracing import trace_all

SETS = ["untold", "test", "unseen"]
TRAIN, DEV = 500, 60  # tasks of these, where there are so many
NEXT, FAITHFUL, BEGUN = "NExT, best round on dev", "the same, faithful only", "base, answers begun with 'It'"
NOT_SHOWN, UNPRACTISED = "NExT, trace removed at test time", "NExT, tuned on told tasks"
BASE_COLDER, NEXT_COLDER, FAITHFUL_COLDER, BEGUN_COLDER = (
    f"{name}, temperature {COLDER}" for name in ("base", "NExT", "faithful only", "base begun with 'It'")
)
BEGUN_AS = {"base": BEGUN, BASE_COLDER: BEGUN_COLDER}  # the row of the same base made to begin as right repairs do
PAIRS = [
    *product((NEXT, FAITHFUL), ("base", BEGUN, BASE_COLDER)),
    *product((NEXT_COLDER, FAITHFUL_COLDER), (BASE_COLDER, BEGUN_COLDER)),
    (NEXT, NOT_SHOWN),
]
UNTUNED = ("blind edit", "base", BEGUN, BASE_COLDER, BEGUN_COLDER)
OURS = (NEXT, FAITHFUL, NEXT_COLDER, FAITHFUL_COLDER)
TITLES = dict(test="test set", unseen="unseen families", untold="untold: only the run tells")


def main():
    """Measure and print one Markdown table a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default=SelfTrainingSettings.model, help="another base: a folder, or a shipped model"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    options = parser.parse_args()
    run = Run("runs/headline")
    tables = [measure(run, options.model, seed, options.sets) for seed in options.seeds]
    for split in options.sets:
        samples = f"{SelfTrainingSettings.eval_samples} samples x {len(options.seeds)} seeds"
        print(f"\n{options.model}, {split}: {len(load_tasks(split))} tasks x {samples}\n")
        print(
            "| model | pass@1, % | pass@8, % | pass@1 by seed | vote, % | no-op, % | pass@1 of the rest, % | fix does as said, % |"
        )
        print("| --- " * 8 + "|")
        for name in tables[0][split]:
            print(line(name, [table[split][name] for table in tables]))
        for name, other in PAIRS:
            print(f"\n{name} against {other}: {gain([table[split] for table in tables], name, other)}")
    usual = (options.model, list(options.seeds), options.sets) == (SelfTrainingSettings.model, [0, 1, 2], SETS)
    draw(tables, options.sets, (Path(__file__) if usual else run.folder / "headline").with_suffix(".svg"))


def measure(run, model, seed, splits):
    """split -> name -> what `_rates` gives, for one seed."""
    settings = SelfTrainingSettings(model=model, seed=seed)
    sampler = LocalSampler(settings.model)
    found = {}
    for split in splits:
        models = _models(run, settings, sampler, *LEARNT_FROM[split])
        if LEARNT_FROM[split] is UNTOLD:
            told = _learner(run, sampler, *TOLD)(settings).best
            models[UNPRACTISED] = settings, told.adapter
        found[split] = _measure_on(split, models, run, settings, sampler)
    return found


def _learner(run, sampler, train, dev):
    """self_train on some sets, when it is called with settings."""
    return partial(self_train, run=run, train=load_tasks(train)[:TRAIN], dev=load_tasks(dev)[:DEV], sampler=sampler)


def _models(run, settings, sampler, train, dev):
    """name -> (settings to evaluate with, adapter): the base and what was tuned on these sets."""
    learn = _learner(run, sampler, train, dev)
    best, faithful = (learn(replace(settings, kept=kept)).best for kept in ("passed", "faithful"))
    unverified = learn(replace(settings, rounds=1, kept="random")).rounds[1]
    print(f"{train}, seed {settings.seed}: the best round is {best.number}, of faithful samples {faithful.number}")
    colder = replace(settings, temperature=COLDER)
    return {
        "base": (settings, None),
        NEXT: (settings, best.adapter),
        FAITHFUL: (settings, faithful.adapter),
        BASE_COLDER: (colder, None),
        NEXT_COLDER: (colder, best.adapter),
        FAITHFUL_COLDER: (colder, faithful.adapter),
        NOT_SHOWN: (replace(settings, shown="nothing"), best.adapter),
        "tuned on random samples": (settings, unverified.adapter),
    }


def _measure_on(split, models, run, settings, sampler):
    """name -> rates on one set."""
    tasks = load_tasks(split)
    blind = blind_edit(tasks, settings.eval_samples, settings.seed)
    rates = _rates(tasks, blind, judge_all(tasks, blind, hidden=True))
    table = {"blind edit": (*rates[:5], float("nan"))}  # it says nothing that it could keep to
    for name, (changed, adapter) in models.items():
        found = evaluate_model(changed, run, tasks, adapter=adapter, sampler=sampler)
        table[name] = _rates(tasks, found.samples, found.verdicts)
        if name in BEGUN_AS:
            begun = begin_as_careful(run, changed, tasks, sampler)
            table[BEGUN_AS[name]] = _rates(tasks, begun, judge_all(tasks, begun, hidden=True))
    return table


def begin_as_careful(run, settings, tasks, sampler):
    """Samples of the base whose rationale is made to begin as the right ones of its corpus mostly do.

    The control for style: whatever this gives needs no tuning.
    """
    traced = [build_prompt(task, found) for task, found in zip(tasks, trace_all(tasks), strict=True)]
    prompts = [Prompt(prompt.task_id, prompt.text + " It") for prompt in traced]
    how = dict(temperature=settings.temperature, max_tokens=settings.max_tokens, seed=settings.seed)
    draw = partial(sampler.sample, prompts, settings.eval_samples, **how)
    keyed = dict(model=fingerprint(settings.model), prompts=digest(prompts), n=settings.eval_samples)
    keyed |= how | sampler.identity
    rows = run.records("begun", keyed, draw, Sample)
    return [[replace(sample, rationale=f"It{sample.rationale}") for sample in row] for row in rows]


def line(name, found):
    """One row of the table from the measurements of every seed."""
    cells = []
    for place in (0, 1):
        rates = _over_seeds([one[place] for one in found])
        low, high = interval(rates)
        cells.append(f"{100 * statistics.mean(rates):.1f} [{100 * low:.1f}, {100 * high:.1f}]")
    cells.append(", ".join(f"{100 * statistics.mean(one[0]):.1f}" for one in found))
    cells += [_percent(statistics.mean(one[place] for one in found)) for place in (2, 3, 4, 5)]
    return f"| {name} | " + " | ".join(cells) + " |"


def gain(tables, name, other):
    """The paired gain of one row over another in pass@1, in words."""
    rates, others = (_over_seeds([t[of][0] for t in tables]) for of in (name, other))
    gains = [one - two for one, two in zip(rates, others, strict=True)]
    low, high = interval(gains)
    return f"{100 * statistics.mean(gains):+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"


def draw(tables, splits, path):
    """The figure: a panel a set; dashed, the best of what needs no tuning."""
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = path.name  # the same figure is the same file
    names = max((tables[0][split] for split in splits), key=len)
    shape = dict(figsize=(2.2 + 2.4 * len(splits), 0.28 * len(names) + 1.2), sharey=True, squeeze=False)
    figure, (panels,) = plt.subplots(1, len(splits), layout="constrained", **shape)
    for split, axes in zip(splits, panels, strict=True):
        rates = {name: _over_seeds([table[split][name][0] for table in tables]) for name in tables[0][split]}
        axes.axvline(100 * max(statistics.mean(rates[name]) for name in UNTUNED), color=GREY, ls="--", lw=1)
        for name, found in rates.items():
            _dot(axes, name, found)
        axes.set(xlim=(0, 100), xlabel="pass@1, %")
        axes.set_title(f"{TITLES[split]}\n{len(load_tasks(split))} tasks", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    figure.savefig(path, metadata=dict(Date=None))


def _dot(axes, name, rates):
    """The mean and its interval: orange for what was tuned on verified samples of the set's own kind, blue for controls."""
    color = GREY if name in UNTUNED else ORANGE if name in OURS else BLUE
    mean, low, high = (100 * value for value in (statistics.mean(rates), *interval(rates)))
    axes.errorbar(mean, name, xerr=[[mean - low], [high - mean]], fmt="o", ms=5, color=color, capsize=2)


def _rates(tasks, samples, verdicts):
    """Rates at 1 and at 8, and in the mean: of a vote, no-ops, pass@1 where they are drawn again, agreement."""
    rates = pass_rates(verdicts, 1), pass_rates(verdicts, 8), _vote(samples, verdicts)
    return *rates, no_op_rate(tasks, samples), _without_no_ops(tasks, samples, verdicts), agreement(tasks, samples)


def _vote(samples, verdicts):
    """The share of tasks whose commonest fix passes; of two as common, the first that was drawn. No test is needed."""
    passed = []
    for row, judged in zip(samples, verdicts, strict=True):
        fixes = [sample.fix for sample in row]
        passed.append(judged[fixes.index(max(fixes, key=fixes.count))].status == "passed")
    return statistics.mean(passed)


def _without_no_ops(tasks, samples, verdicts):
    """pass@1 of the fixes that change something: what drawing the others again would give, for which no test is needed."""
    shares = []
    for task, row, judged in zip(tasks, samples, verdicts, strict=True):
        changed = [v.status == "passed" for s, v in zip(row, judged, strict=True) if not unchanged(task, s)]
        shares.append(sum(changed) / max(1, len(changed)))
    return statistics.mean(shares)


def _percent(value):
    return "-" if value != value else f"{100 * value:.1f}"


def _over_seeds(rates):
    return [statistics.mean(of_task) for of_task in zip(*rates, strict=True)]


if __name__ == "__main__":
    main()
