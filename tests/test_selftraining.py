"""Algorithm 1 with a scripted model: what it samples, keeps, tunes and picks, and that it resumes."""

from dataclasses import replace
from pathlib import Path

import pytest

from nextkit import selftraining
from nextkit.finetuning import Adapter
from nextkit.runs import Run
from nextkit.sampling import Sample
from nextkit.selftraining import SelfTrainingSettings, self_train

RIGHT, WRONG = "def f(x):\n    return x + 1", "def f(x):\n    return x + 3"
SETTINGS = SelfTrainingSettings(rounds=2, samples=4, eval_samples=4, hard=0.5)


class Scripted:
    """A model that is right in `rights[adapter]` of four samples; counts its calls."""

    def __init__(self, rights):
        self.rights, self.calls = rights, 0

    def sample(self, prompts, n, *, adapter=None, **options):
        self.calls += 1
        right = self.rights[adapter and Path(adapter).parent.name.split("-")[1]]
        fixes = [RIGHT] * right + [WRONG] * (n - right)
        return [[Sample(p.task_id, p.text, fix, "r", fix, 3, "stop") for fix in fixes] for p in prompts]


@pytest.fixture
def tuned(monkeypatch):
    """Records what the loop asks to tune, instead of tuning."""
    asked = []

    def fake(base, examples, out, settings=None):
        asked.append((base, examples))
        return Adapter(str(out), base, len(examples), 1, 1, (1.0,), 0.0)

    monkeypatch.setattr(selftraining, "finetune", fake)
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
    result = self_train(SETTINGS, Run(tmp_path), *tasks, sampler=Scripted({None: 3, "1": 4, "2": 4}))
    assert result.rounds[1].hard_tasks == 0 and tuned[0][1] == []


def test_the_control_trains_on_unverified_samples(tuned, tasks, tmp_path):
    settings = replace(SETTINGS, verified=False, rounds=1, hard=1.0, seed=2)
    self_train(settings, Run(tmp_path), *tasks, sampler=Scripted({None: 2, "1": 1}))
    assert len(tuned[0][1]) == 1


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


def test_a_task_that_needs_no_repair_is_refused(tuned, tasks, tmp_path):
    train = [replace(tasks[0][0], buggy=RIGHT)]
    with pytest.raises(ValueError, match="nothing to repair"):
        self_train(SETTINGS, Run(tmp_path), train, tasks[1], sampler=Scripted({None: 1}))
