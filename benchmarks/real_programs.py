"""Real programs: what a base repairs of Mbpp-R before and after NExT, beside the blind edit.

    python -m nextkit.offline pretrain real --out runs/real/base       # a GPU; goes on where it was stopped
    python benchmarks/real_programs.py mbpp.jsonl --model runs/real/base

    python -m nextkit.offline pretrain stated --out runs/stated/base   # an hour and a half on two cores
    python benchmarks/real_programs.py mbpp.jsonl --model runs/stated/base --stated --out runs/stated --train 800

The tasks are made of MBPP's problems, of which no corpus of this kit has read any: training tasks of its training
problems, held-out ones of its validation problems. Of a round that was tuned, the best on other held-out tasks counts.
Tasks whose prompt and answer do not fit into the network are left out, and counted. Resumes; prints a Markdown table.
"""

import argparse
import contextlib
from pathlib import Path

from nextkit.ablations import BASE, BLIND, compare, read
from nextkit.datasets.mbpp import load_mbpp
from nextkit.datasets.mbpp_r import mbpp_r
from nextkit.evaluation import blind_edit, evaluate, no_op_rate, problems
from nextkit.filtering import judge_all
from nextkit.offline.stated import StatedEdits
from nextkit.prompting import build_prompt
from nextkit.runs import Run
from nextkit.sampling import LocalSampler
from nextkit.selftraining import SelfTrainingSettings, evaluate_model
from nextkit.stages import NothingKeptError
from nextkit.tracing import trace_all


def main():
    """Make the tasks, run NExT on them, and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mbpp", type=Path, help="MBPP's mbpp.jsonl")
    parser.add_argument("--model", default="offline-base", help="a folder, or a name that LocalSampler knows")
    parser.add_argument("--out", type=Path, default=Path("runs/real"), help="folder for tasks and runs")
    parser.add_argument("--train", type=int, default=1500, help="training tasks")
    parser.add_argument("--held-out", type=int, default=300, help="tasks to measure on")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--samples", type=int, default=16, help="samples of a training task")
    parser.add_argument("--controls", nargs="*", default=[], help="further rows, such as 'no trace'")
    parser.add_argument("--stated", action="store_true", help="the model states its edit, which is carried out for it")
    parser.add_argument("--base-only", action="store_true", help="measure the base and the blind edit, tune nothing")
    options = parser.parse_args()
    choosing = options.held_out // 5
    mbpp = load_mbpp(options.mbpp)
    train, dev = mbpp_r(mbpp, out=options.out / "mbpp-r", train=options.train, dev=options.held_out + choosing)
    settings = SelfTrainingSettings(
        model=str(options.model), rounds=options.rounds, samples=options.samples, max_tokens=300
    )
    run, sampler = Run(options.out / "run"), LocalSampler(settings.model)
    if options.stated:
        sampler = StatedEdits(sampler, [*train, *dev])
    train, choosing, held_out = (fitting(tasks, sampler, settings) for tasks in (train, dev[:choosing], dev[choosing:]))
    print(f"{len(train)} training tasks, {len(held_out)} held-out ones, {settings.eval_samples} samples each\n")
    print("| model | pass@1, % | pass@8, % | pass@1 over the base | no-op, % |")
    print("| --- " * 5 + "|")
    blind = blind_edit(held_out, settings.eval_samples, settings.seed)
    table = evaluate(judge_all(held_out, blind, hidden=True), clusters=problems(held_out))
    print(line(BLIND, table.assign(no_op=no_op_rate(held_out, blind))))
    print(line(BASE, evaluate_model(settings, run.of(BASE), held_out, sampler=sampler).table()), flush=True)
    if options.base_only:
        return
    try:
        table = compare(settings, run, train, choosing, held_out, names=options.controls, sampler=sampler)
    except NothingKeptError as error:  # the base repairs nothing, which is a result
        print(f"\n{error}")
        return
    for name, rows in table[~table.model.isin((BLIND, BASE))].groupby("model", sort=False):
        print(line(name, rows))
    print(f"\n{read(table)}")


def fitting(tasks, sampler, settings):
    """The tasks whose prompt and answer the network can hold."""
    found, room = [], sampler.room(settings.max_tokens)
    for task, trace in zip(tasks, trace_all(tasks), strict=True):
        with contextlib.suppress(ValueError):  # even the least of the trace is too long
            build_prompt(task, trace, room=room, length=sampler.length)
            found.append(task)
    print(
        f"{len(tasks) - len(found)} of {len(tasks)} tasks do not fit into {sampler.positions} tokens with their answer"
    )
    return found


def line(name, rows):
    """One row of the table: rows are of one model, a row for each k."""
    at = rows.set_index("k")
    rates = [f"{100 * r.pass_at_k:.1f} [{100 * r.low:.1f}, {100 * r.high:.1f}]" for r in (at.loc[1], at.loc[8])]
    one = at.loc[1]
    over = (
        f"{100 * one.over_base:+.1f} [{100 * one.over_base_low:+.1f}, {100 * one.over_base_high:+.1f}]"
        if "over_base" in one
        else ""
    )
    return f"| {name} | {' | '.join(rates)} | {over} | {100 * one.no_op:.1f} |"


if __name__ == "__main__":
    main()
