"""Algorithm 1 with a scripted model: what it samples, keeps, tunes and picks, and that it resumes."""

import itertools
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path

import pytest

from nextkit import stages
from nextkit.finetuning import Adapter
from nextkit.runs import Run
from nextkit.sampling import LocalSampler, Sample
from nextkit.selftraining import SelfTrainingSettings, evaluate_model, self_train
from nextkit.settings import settings_table
from nextkit.stages import NothingKeptError

RIGHT, WRONG = "def f(x):\n    return x + 1", "def f(x):\n    return x + 3"
SETTINGS = SelfTrainingSettings(rounds=2, samples=4, eval_samples=4, hard=0.5)


class Scripted:
    """A model that is right in `rights[adapter]` of n samples; counts its calls and keeps its prompts by adapter."""

    def __init__(self, rights):
        self.rights, self.calls, self.prompts = rights, 0, {}

    def sample(self, prompts, n, *, adapter=None, **options):
        self.calls += 1
        self.prompts.setdefault(adapter and Path(adapter).parent.name.split("-")[1], []).extend(p.text for p in prompts)
        right = self.rights[adapter and Path(adapter).parent.name.split("-")[1]]
        fixes = [RIGHT] * right + [WRONG] * (n - right)
        return [[Sample(p.task_id, p.text, fix, "r", fix, 3, "stop") for fix in fixes] for p in prompts]


@pytest.fixture
def tuned(monkeypatch):
    """Records what the loop asks to tune, instead of tuning."""
    asked = []

    def fake(base, examples, out, settings=None, *, chat=False, apart=False):
        asked.append((base, examples))
        return Adapter(str(out), base, len(examples), 1, 1, (1.0,), 0.0)

    monkeypatch.setattr(stages, "finetune", fake)
    return asked


@pytest.fixture
def tasks(task):
    return [task], [replace(task, task_id="t/dev")]


def test_every_round_tunes_the_base_on_what_passed(tuned, tasks, tmp_path):
    self_train(SETTINGS, Run(tmp_path), *tasks, sampler=Scripted({None: 1, "1": 2, "2": 3}))
    assert [base for base, _ in tuned] == ["offline-base"] * 2
    assert all(example.completion == RIGHT for _, examples in tuned for example in examples)


def test_the_round_that_does_best_on_dev_wins(tuned, tasks, tmp_path):
    result = self_train(SETTINGS, Run(tmp_path), *tasks, sampler=Scripted({None: 1, "1": 4, "2": 2}))
    assert result.best.number == 1 and list(result.table[result.table.k == 1].pass_at_k) == [0.25, 1.0, 0.5]


def test_easy_tasks_are_left_out(tuned, tasks, tmp_path):
    with pytest.raises(NothingKeptError, match="none of 1 tasks is hard"):
        self_train(SETTINGS, Run(tmp_path), *tasks, sampler=Scripted({None: 3, "1": 4, "2": 4}))


def test_where_nothing_passed_there_is_nothing_to_learn_from(tuned, tasks, tmp_path):
    with pytest.raises(NothingKeptError, match="round 1 has nothing to learn from.*kept='passed'"):
        self_train(SETTINGS, Run(tmp_path), *tasks, sampler=Scripted({None: 0, "1": 4, "2": 4}))


def test_the_control_trains_on_unverified_samples(tuned, tasks, tmp_path):
    settings = replace(SETTINGS, kept="random", rounds=1, hard=1.0, seed=2)
    self_train(settings, Run(tmp_path), *tasks, sampler=Scripted({None: 2, "1": 1}))
    assert len(tuned[0][1]) == 2


def test_in_later_rounds_the_control_trains_on_as_many_as_in_the_first(tuned, tasks, tmp_path):
    train = [replace(tasks[0][0], task_id=f"t/{number}") for number in range(4)]
    settings = replace(SETTINGS, kept="random", hard=1.0)
    self_train(settings, Run(tmp_path), train, tasks[1], sampler=Scripted({None: 2, "1": 0, "2": 0}))
    assert [len(examples) for _, examples in tuned] == [8, 8]


def test_tasks_that_share_an_id_are_refused(tasks, tmp_path):
    with pytest.raises(ValueError, match="2 of the tasks in train and dev have the id 't/1'"):
        self_train(SETTINGS, tmp_path, tasks[0], tasks[0], sampler=Scripted({None: 1}))


def test_a_sampler_of_another_model_is_refused(tasks, tmp_path, tiny_model):
    with pytest.raises(ValueError, match="name the same model in both"):
        self_train(SETTINGS, tmp_path, *tasks, sampler=LocalSampler(tiny_model, progress=False))


def test_a_sampler_that_answers_otherwise_is_asked_anew(tuned, tasks, tmp_path):
    for stop in ("a", "b"):
        model = Scripted({None: 1})
        model.identity = dict(stop=(stop,))
        evaluate_model(SETTINGS, tmp_path, tasks[1], sampler=model)
        assert model.calls == 1


def test_adapters_from_elsewhere_are_told_apart_by_their_weights(tasks, tmp_path):
    for name in ("good", "bad"):
        folder = tmp_path / "mine-1" / name
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_text(name)
        model = Scripted({"1": 2})
        adapter = Adapter(str(folder), "offline-base", 1, 1, 1, (1.0,), 0.0)
        evaluate_model(SETTINGS, tmp_path / "run", tasks[1], adapter=adapter, sampler=model)
        assert model.calls == 1


def test_a_threshold_that_leaves_nothing_to_learn_is_refused():
    with pytest.raises(ValueError, match="hard is 0.1 with 8 samples.*hard_samples"):
        SelfTrainingSettings(hard=0.1)
    assert SelfTrainingSettings(hard=0.1, hard_samples=32).hard == 0.1


def test_the_kits_own_examples_have_the_form_of_the_prompts(tuned, tasks, tmp_path):
    model = Scripted({None: 1, "1": 2})
    settings = replace(SETTINGS, rounds=1, shown="nothing", rationale=False, few_shot=1, instruction=True)
    self_train(settings, Run(tmp_path), *tasks, sampler=model)
    assert all(text.startswith("Each program below is wrong.") for text in model.prompts[None])
    assert not any("# (" in text or "# Why:" in text for text in model.prompts[None])


def test_empty_lists_of_tasks_are_refused_by_their_name(tasks, tmp_path):
    with pytest.raises(ValueError, match="dev holds no task"):
        self_train(SETTINGS, tmp_path, tasks[0], [], sampler=Scripted({None: 1}))


def test_a_task_that_does_not_fit_is_named_before_anything_is_sampled(tasks, tmp_path):
    class Narrow(Scripted):
        room, length = staticmethod(lambda max_tokens, examples: 20), staticmethod(len)

    sampler = Narrow({None: 1})
    with pytest.raises(ValueError, match="task 't/dev' does not fit into a prompt of 20 tokens.*max_tokens"):
        self_train(SETTINGS, tmp_path, *tasks, sampler=sampler)
    with pytest.raises(ValueError, match="task 't/dev' does not fit into a prompt of 20 tokens, it takes"):
        self_train(replace(SETTINGS, shown="nothing"), tmp_path, *tasks, sampler=sampler)
    assert sampler.calls == 0


@pytest.mark.parametrize(
    "wrong",
    [
        dict(style="xx"),
        dict(temperature=-1),
        dict(per_task=0),
        dict(few_shot="abc"),
        dict(few_shot=99),
        dict(lora=None),
    ],
)
def test_settings_that_cannot_be_are_refused_by_their_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SelfTrainingSettings(**wrong)


def test_an_executor_traces_and_judges(tuned, tasks, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        asked, submit = [], pool.submit
        pool.submit = lambda function, *rest, **named: asked.append(function) or submit(function, *rest, **named)
        self_train(SETTINGS, Run(tmp_path), *tasks, sampler=Scripted({None: 1, "1": 2, "2": 3}), executor=pool)
    assert {getattr(function, "func", function).__name__ for function in asked} == {
        "trace",
        "_judge_pair",
        "_check_pair",
    }


def test_a_finished_run_samples_nothing_again(tuned, tasks, tmp_path):
    rights = {None: 1, "1": 2, "2": 3}
    first = self_train(SETTINGS, Run(tmp_path), *tasks, sampler=Scripted(rights))
    idle = Scripted(rights)
    again = self_train(SETTINGS, Run(tmp_path), *tasks, sampler=idle)
    assert idle.calls == 0 and again.table.equals(first.table)


def test_a_run_that_broke_off_goes_on_to_the_same_result(tuned, tasks, tmp_path):
    rights = {None: 1, "1": 2, "2": 3}
    whole = self_train(SETTINGS, Run(tmp_path / "whole"), *tasks, sampler=Scripted(rights))
    with pytest.raises(KeyError):
        self_train(SETTINGS, Run(tmp_path / "broken"), *tasks, sampler=Scripted({None: 1}))
    resumed = self_train(SETTINGS, Run(tmp_path / "broken"), *tasks, sampler=Scripted(rights))
    assert resumed.table.equals(whole.table)


def test_every_round_is_told_when_it_ends_and_may_stop_the_run(tuned, tasks, tmp_path):
    told = []

    def stop(result):
        told.append([r.number for r in result.rounds])
        if len(result.rounds) == 2:
            raise KeyboardInterrupt

    model = Scripted({None: 1, "1": 2, "2": 3})
    with pytest.raises(KeyboardInterrupt):
        self_train(SETTINGS, Run(tmp_path), *tasks, sampler=model, on_round=stop)
    calls = model.calls
    assert told == [[0], [0, 1]]
    assert self_train(SETTINGS, Run(tmp_path), *tasks, sampler=model).best.number == 2
    assert model.calls == calls + 2  # the second round's draw, and its evaluation


def test_a_task_that_needs_no_repair_is_refused(tuned, tasks, tmp_path):
    train = [replace(tasks[0][0], buggy=RIGHT)]
    with pytest.raises(ValueError, match="nothing to repair"):
        self_train(SETTINGS, Run(tmp_path), train, tasks[1], sampler=Scripted({None: 1}))


def test_few_shot_examples_stand_before_the_bases_prompts_only(tuned, tasks, tmp_path):
    model = Scripted({None: 1, "1": 2})
    self_train(replace(SETTINGS, rounds=1, few_shot=("SOLVED",)), Run(tmp_path), *tasks, sampler=model)
    assert all(text.startswith("SOLVED") for text in model.prompts[None])
    assert not any("SOLVED" in text for text in model.prompts["1"])
    assert not any("SOLVED" in example.prompt for _, examples in tuned for example in examples)


def test_more_samples_may_decide_which_tasks_are_hard(tuned, tasks, tmp_path):
    drawn = []

    class Counting(Scripted):
        def sample(self, prompts, n, **options):
            drawn.append(n)
            return super().sample(prompts, n, **options)

    settings = replace(SETTINGS, rounds=1, hard_samples=6)
    self_train(settings, Run(tmp_path), *tasks, sampler=Counting({None: 1, "1": 2}))
    assert drawn == [4, 6, 4, 4]  # dev, which are hard, the first round, dev again


def test_what_is_kept_may_be_what_is_faithful_too(tuned, tasks, tmp_path):
    class Talking(Scripted):
        def sample(self, prompts, n, **options):
            said = ["It returns 0, not 2. In `return x - 1` change `-` to `+`.", "It is wrong."]
            rows = super().sample(prompts, n, **options)
            return [
                [replace(s, rationale=said[k % 2], text=f"{said[k % 2]} {k}") for k, s in enumerate(row)]
                for row in rows
            ]

    settings = replace(SETTINGS, rounds=1, kept="faithful")
    self_train(settings, Run(tmp_path), *tasks, sampler=Talking({None: 2, "1": 2}))
    assert [example.completion[:10] for example in tuned[0][1]] == ["It returns"]


def test_without_rationales_the_answer_is_the_program(tuned, tasks, tmp_path):
    class Plain(Scripted):
        def sample(self, prompts, n, **options):
            return [[replace(s, fix="", rationale="") for s in row] for row in super().sample(prompts, n, **options)]

    model = Plain({None: 1, "1": 2})
    result = self_train(replace(SETTINGS, rounds=1, rationale=False), Run(tmp_path), *tasks, sampler=model)
    assert model.prompts[None][0].endswith("# Fix:") and "# Why:" not in model.prompts[None][0]
    assert result.rounds[0].dev.samples[0][0].fix == RIGHT


@pytest.mark.parametrize("shown, told", [("trace", ["# (0)", "# got 0"]), ("outcome", ["# got 0"]), ("nothing", [])])
def test_what_is_shown_of_the_run_is_a_setting(tuned, tasks, tmp_path, shown, told):
    model = Scripted({None: 1, "1": 2})
    self_train(replace(SETTINGS, rounds=1, shown=shown), Run(tmp_path), *tasks, sampler=model)
    assert [mark for mark in ("# (0)", "# got 0") if mark in model.prompts[None][0]] == told


@pytest.mark.parametrize("distinct, kept", [(False, 2), (True, 1)])
def test_equal_programs_are_kept_as_often_as_they_came_or_once(tuned, tasks, tmp_path, distinct, kept):
    settings = replace(SETTINGS, rounds=1, distinct=distinct)
    self_train(settings, Run(tmp_path), *tasks, sampler=Scripted({None: 2, "1": 2}))
    assert len(tuned[0][1]) == kept


def test_the_curve_counts_what_each_round_drew_solved_and_kept(tuned, tasks, tmp_path):
    curve = self_train(SETTINGS, Run(tmp_path), *tasks, sampler=Scripted({None: 2, "1": 3, "2": 4})).curve
    assert list(curve.drawn) == [0, 4, 4] and list(curve.passed) == [0, 2, 3] and list(curve.kept) == [0, 2, 3]
    assert list(curve.dev_pass_at_1) == [0.5, 0.75, 1.0]


@pytest.mark.parametrize(
    "change, said",
    [(dict(shown="all"), "shown is 'all': choose one of trace, outcome, nothing"), (dict(rounds=0), "rounds is 0"),
     (dict(hard=2), "hard is 2"), (dict(kept="faithful", shown="nothing"), "needs rationales and traces")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        SelfTrainingSettings(**change)


def test_every_setting_stands_beside_the_papers_value():
    table = settings_table()
    assert table.loc["hard", "paper"] == "0.1" and table.loc["samples", "paper"] == "32"
    assert set(table.index) == {f.name for f in fields(SelfTrainingSettings)}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_at_any_write_goes_on_to_the_same_files(tasks, tmp_path, monkeypatch, when):
    def train(folder):
        rights = {None: 1, "1": 2, "2": 3}
        return self_train(replace(SETTINGS, part=1), Run(folder), *tasks, sampler=Scripted(rights))

    def fake(base, examples, out, settings=None, *, chat=False, apart=False):
        if not out.exists():
            partial = out.with_name("partial")
            partial.mkdir(exist_ok=True)
            (partial / "weights").write_text(str(examples))
            os.rename(partial, out)
        return Adapter(str(out), base, len(examples), 1, 1, (1.0,), 0.0)

    monkeypatch.setattr(stages, "finetune", fake)
    for name in ("trace_all", "judge_all", "judge_buggy"):  # forty runs of the same programs: run each once
        monkeypatch.setattr(stages, name, remembered(getattr(stages, name)))
    whole = train(tmp_path / "whole").table
    wanted = contents(tmp_path / "whole")
    for number in range(99):
        folder = tmp_path / f"killed-{number}"
        if not killed(lambda folder=folder: train(folder), number, when):
            break
        assert train(folder).table.equals(whole) and contents(folder) == wanted
    assert number > 12  # two splits of traces; draws, verdicts, adapters and evaluations of two rounds


def remembered(function):
    """The function, which answers what it was asked before from memory, also in a fork."""
    known = {}

    def answer(*asked, **how):
        key = repr((asked, how))
        if key not in known:
            known[key] = function(*asked, **how)
        return known[key]

    return answer


def killed(work, number, when):
    """Run work() in a process that is killed by its write of this number; whether it came to that."""
    child = os.fork()
    if child == 0:
        count = itertools.count()

        def counted(write):
            def replacement(*names):
                last = next(count) == number
                if last and when == "before":
                    os.kill(os.getpid(), signal.SIGKILL)
                write(*names)
                if last:
                    os.kill(os.getpid(), signal.SIGKILL)

            return replacement

        os.replace, os.rename = counted(os.replace), counted(os.rename)
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def contents(folder):
    """Every file that counts, by name, but for how long something took."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    skipped = (".partial", "events.jsonl")
    texts = {str(p.relative_to(folder)): p.read_text() for p in files if not p.name.endswith(skipped)}
    return {name: re.sub(r'"seconds": [\d.e-]+', "", text) for name, text in texts.items()}
