"""The offline world: its programs, its splits, its rationales, and that what ships was made of it."""

import hashlib
import json
import pickle
import random
import re
import subprocess
from dataclasses import asdict, replace

import pytest

from nextkit.datasets.mutate import WEIGHTS, all_edits
from nextkit.offline import corpus, reading
from nextkit.offline.corpus import Mixture, draw_corpus, draw_document
from nextkit.offline.execution import MEMORY, run
from nextkit.offline.families import FAMILIES, UNSEEN
from nextkit.offline.pretraining import pretrain
from nextkit.offline.programs import POOLS, draw_argument, draw_program, from_family
from nextkit.offline.rationales import agrees, carried_out, state_edit, truthful, write_rationale
from nextkit.offline.reading import _weights, load_phase, phase_file
from nextkit.offline.recipes import RECIPES, Phase, PretrainSettings, Shape
from nextkit.offline.repairs import (
    HIDDEN,
    SHOWN,
    SPLITS,
    UNTOLD,
    _shape,
    draw_task,
    draw_tasks,
    failing_trace,
    occurs,
    rename_task,
    split_of,
)
from nextkit.offline.stated import StatedEdits
from nextkit.offline.tokenizer import train_tokenizer
from nextkit.prompting import build_prompt, parse_completion
from nextkit.sampling import Sample
from nextkit.tasks import DATA, load_tasks

SETS = ["train", "dev", "test", "unseen"]


def tasks_drawn(count, seed=1):
    rng = random.Random(seed)
    found = []
    while len(found) < count:
        if task := draw_task(rng):
            found.append(task)
    return found


def test_assembled_programs_run_on_arguments_of_their_kinds():
    rng = random.Random(0)
    for _ in range(200):
        program = draw_program(rng, families=0)
        arguments = tuple(draw_argument(rng, kind) for _, kind in program.params)
        assert run(program.code, program.entry, [arguments])[0][0], program.code


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_gives_programs_without_open_slots(family):
    program = from_family(random.Random(0), family)
    assert "{" not in program.description + program.code


def test_ten_families_are_held_out_and_never_drawn():
    rng = random.Random(0)
    assert len(UNSEEN) == 10 and {f.name for f in FAMILIES} >= UNSEEN
    assert not UNSEEN & {draw_program(rng).family for _ in range(500)}


def test_a_task_fails_a_shown_test_and_its_reference_passes_all():
    for task in tasks_drawn(30):
        assert failing_trace(task).outcome != "passed"
        namespace = {}
        exec(task.reference, namespace)
        for test in (*task.tests, *task.hidden_tests):
            exec(test, namespace)


def test_a_renamed_task_is_the_same_but_for_its_names():
    rng, names = random.Random(0), set()
    for task in tasks_drawn(30):
        other = rename_task(rng, task)
        assert _shape(other.buggy) == _shape(task.buggy) and _shape(other.reference) == _shape(task.reference)
        assert failing_trace(other).outcome == failing_trace(task).outcome
        shown = set(re.findall(r"`(\w+)`", other.description))
        assert shown <= set(re.findall(r"\w+", other.reference))
        names.add(re.search(r"def (\w+)", other.buggy)[1])
    assert len(names) > 25 and len(names & {*POOLS["f"]}) < 15


def test_a_task_has_three_shown_and_six_hidden_tests_all_different():
    task = tasks_drawn(1)[0]
    assert (len(task.tests), len(task.hidden_tests)) == (SHOWN, HIDDEN)
    assert len({*task.tests, *task.hidden_tests}) == SHOWN + HIDDEN


def test_the_split_is_a_function_of_the_key_alone():
    splits = [split_of(f"key {number}") for number in range(4000)]
    assert splits == [split_of(f"key {number}") for number in range(4000)]
    assert abs(splits.count("pretrain") / 4000 - SPLITS["pretrain"]) < 0.03


def test_the_same_seed_draws_the_same_tasks():
    assert draw_tasks(5, "dev", seed=3) == draw_tasks(5, "dev", seed=3)


@pytest.mark.parametrize("name", SETS)
def test_a_shipped_set_holds_tasks_of_its_own_split_only(name):
    for task in load_tasks(name):
        assert task.split == name
        assert task.meta["family"] in UNSEEN if name == "unseen" else split_of(task.meta["key"]) == name


def test_keys_never_cross_from_one_shipped_set_to_another():
    keys = [{task.meta["key"] for task in load_tasks(name)} for name in [*SETS, *UNTOLD]]
    assert sum(map(len, keys)) == len(set().union(*keys))


@pytest.mark.parametrize(("name", "split"), UNTOLD.items())
def test_the_bug_of_an_untold_task_is_in_the_one_branch_that_ran(name, split):
    for task in load_tasks(name):
        assert split_of(task.meta["key"]) == split and task.split == name
        lines = zip(task.buggy.splitlines(), task.reference.splitlines(), strict=True)
        wrong = [number for number, (one, other) in enumerate(lines, 1) if one != other]
        steps = {n + 1 for n, line in enumerate(task.buggy.splitlines(), 1) if re.match(r" {4}(if|elif|else)\b", line)}
        assert len(steps) == 4 and steps & {step.line for step in failing_trace(task).steps} == {*wrong}


@pytest.mark.parametrize("name", [*SETS, *UNTOLD])
def test_a_shipped_set_is_what_its_seed_draws(name):
    assert load_tasks(name)[:10] == draw_tasks(10, name, seed=0)


def test_the_corpus_of_the_shipped_models_stays_what_it_was():
    rng, found = random.Random("corpus/0/0"), []
    while len(found) < 8:
        found += filter(None, [draw_document(rng, Mixture(0.36))])
    assert hashlib.md5("".join(found).encode()).hexdigest() == "f7ea1641d9f25e864a238e03c46c77b3"


@pytest.mark.parametrize("marked", [True, False])
def test_wrong_repairs_quote_the_run_as_often_as_right_ones_where_they_are_not_to_be_marked(marked):
    def quoting(right):
        rng = random.Random(0)
        texts = [draw_document(rng, Mixture(right, marked=marked)) for _ in range(500)]
        answers = [text.partition("# Why:")[2] for text in texts if text and "# Why:" in text]
        return sum(answer.startswith(" It ") for answer in answers) / len(answers)

    assert (quoting(1.0) > 2 * quoting(0.0)) is marked


@pytest.mark.parametrize("untold", [0.0, 1.0])
def test_a_corpus_is_of_untold_tasks_as_often_as_it_is_to_be(untold):
    rng = random.Random(0)
    texts = filter(None, (draw_document(rng, Mixture(untold=untold)) for _ in range(150)))
    assert {text.count("    elif ") >= 2 for text in texts} == {untold == 1.0}


def test_the_base_that_ships_was_made_by_its_recipe():
    made = json.loads((DATA / "offline-base" / "pretraining.json").read_text())
    assert made["settings"] == json.loads(json.dumps(asdict(RECIPES["base"])))


def test_documents_are_made_of_pretraining_keys_only(monkeypatch):
    monkeypatch.setattr("nextkit.offline.repairs.split_of", lambda key: "dev")
    rng = random.Random(0)
    assert not any(draw_document(rng, Mixture()) for _ in range(20))


def test_every_edit_that_the_corpus_draws_can_be_stated_and_is_understood():
    buggy = "def f(xs):\n    t = 0\n    for x in xs:\n        if x > 2:\n            t += x\n        else:\n            t -= 1\n    return t"
    for edit in all_edits(buggy, kinds=WEIGHTS):
        sentence, _ = state_edit(edit.program, buggy)
        assert agrees(edit.program, sentence, buggy), sentence


@pytest.mark.parametrize(
    ("line", "other", "said"),
    [
        ("for i in range(n):", "for i in range(n + 1):", "change `n` to `n + 1`"),
        ("t += x[1:]", "t += x", "change `x[1:]` to `x`"),
        ("t += len(x) + len(y)", "t += len(x) - len(y)", "change `+` to `-`"),
        ("t = x + x", "t = x + y", "change `+ x` to `+ y`"),
    ],
)
def test_an_edit_is_stated_as_the_shortest_change_that_names_its_place(line, other, said):
    body = "def f(x, y, n, t):\n    {}{}\n    return t"
    before, after = (body.format(text, "\n        t += 1" if text.endswith(":") else "") for text in (line, other))
    assert state_edit(before, after) == (f"In `{line}` {said}.", line)


def test_a_fix_that_does_something_else_does_not_agree():
    buggy = "def f(x):\n    return x + 1"
    assert agrees(buggy, "In `return x + 1` change `1` to `2`.", "def f(x):\n    return x + 2") is True
    assert agrees(buggy, "In `return x + 1` change `1` to `2`.", "def f(x):\n    return x + 3") is False


def test_a_rationale_without_an_edit_neither_agrees_nor_disagrees():
    assert agrees("x = 1", "Something is off in the result, so I change it.", "x = 2") is None


def test_an_edit_is_carried_out_in_the_likest_line_in_which_it_can_be():
    buggy = "def f(x):\n    y = x + 1\n    total = y + 1\n    return total"
    assert carried_out(buggy, "In `totl = y + 1` change `+` to `-`.") == buggy.replace("y + 1", "y - 1")
    assert carried_out(buggy, "In `return totl` change `+ 1` to `+ 2`.").count("+ 2") == 1
    assert carried_out(buggy, "In `total = y + 1` change `*` to `-`.") == carried_out(buggy, "It is wrong.") == ""


def test_a_sampler_of_stated_edits_carries_them_out_and_keeps_what_the_model_wrote(task):
    said = [f"In `{line}` change `{line}` to `pass`." for line in (task.buggy.splitlines()[-1].strip(), "not in it")]

    class Says:
        identity, path = dict(stop=()), "a folder"

        def sample(self, prompts, n, **how):
            return [[Sample(p.task_id, p.text, text, text, "", 5, "stop") for text in said] for p in prompts]

    sampler = StatedEdits(Says(), [task])
    ((made, none),) = sampler.sample([build_prompt(task)], 2, temperature=0.2)
    assert made.fix.splitlines()[-1].strip() == "pass" and (none.fix, made.text) == ("", said[0])
    assert sampler.identity == dict(stop=(), fixes="stated") and sampler.path == "a folder"


def test_a_grounded_rationale_is_truthful_and_a_slip_is_not():
    rng = random.Random(0)
    task = next(t for t in tasks_drawn(50) if failing_trace(t).got.isdigit())
    trace = failing_trace(task)
    rationale = write_rationale(rng, task.buggy, task.reference, trace)
    slipped = write_rationale(rng, task.buggy, task.reference, trace, slip=True)
    assert truthful(rationale, trace) and not truthful(slipped, trace)


def test_a_document_ends_in_an_answer_that_parses_back():
    rng = random.Random(0)
    text = next(d for d in (draw_document(rng, Mixture()) for _ in range(500)) if d and "# Fix:" in d)
    answer = parse_completion(text.split("# Why:")[1])
    assert answer.rationale and answer.fix.startswith("def ")


def test_a_bug_that_loops_or_grows_without_end_is_stopped():
    endless = "def f(n):\n    while n > 0:\n        n = n * n + 1\n    return n"
    assert run(endless, "f", [(3,)]) == [(False, "Timeout")]


def test_a_training_token_weighs_by_what_it_decides():
    text = "# Task: add\n# Buggy:\ndef f(x):  # (0) x=1\n    return x\n# Why: no\n# Fix:\ndef f(x):\n    return x + 1"
    settings = replace(RECIPES["proxy"], prompt_weight=0.25, edit_weight=4.0)
    weights = _weights(text, settings)
    marks = [text.index("Task"), text.index(" no"), text.rindex("def f"), text.rindex("return")]
    assert len(weights) == len(text) and [weights[place] for place in marks] == [0.25, 4.0, 1.0, 4.0]


def draw_here(command, input):
    """In place of another process, which would not see what is patched here."""
    reading.write_phase(*pickle.loads(input))
    return subprocess.CompletedProcess(command, 0)


TEXTS = ["# Task: add\n# Buggy:\ndef f(x):\n    return x - 1\n# Why: no\n# Fix:\ndef f(x):\n    return x + 1"] * 30
TINY = PretrainSettings(Shape(32, 1, 2, 64), (Phase(20, 900, 1e-3, Mixture()), Phase(30, 900, 1e-3, Mixture(0.9))), 200)


@pytest.fixture
def drawn_texts(monkeypatch):
    """Pretraining reads TEXTS, and draws them in this process."""
    monkeypatch.setattr(reading, "draw_corpus", lambda count, *_: TEXTS[:count])
    monkeypatch.setattr(reading.subprocess, "run", draw_here)


def test_pretraining_that_was_cut_off_goes_on_to_the_same_model(tmp_path, drawn_texts):
    whole = pretrain(tmp_path / "whole", TINY)
    pretrain(tmp_path / "broken", replace(TINY, phases=TINY.phases[:1]))
    resumed = pretrain(tmp_path / "broken", TINY)
    assert (whole / "model.safetensors").read_bytes() == (resumed / "model.safetensors").read_bytes()


def test_a_folder_that_holds_a_model_of_another_recipe_is_refused(tmp_path, drawn_texts):
    pretrain(tmp_path, TINY)
    for other in (replace(TINY, seed=7), replace(TINY, phases=TINY.phases[:1])):
        with pytest.raises(ValueError, match="of another recipe"):
            pretrain(tmp_path, other)


def test_pretraining_begins_with_the_weights_and_the_tokenizer_of_a_model(tmp_path, drawn_texts):
    first = pretrain(tmp_path / "first", TINY)
    same = (replace(TINY.phases[0], learning_rate=0.0),)
    second = pretrain(tmp_path / "second", replace(TINY, begin=str(first), phases=same, seed=5, vocabulary=280))
    for name in ("model.safetensors", "tokenizer.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_corpus_is_tokenized_in_another_process_as_it_would_be_here(tmp_path):
    settings = PretrainSettings(Shape(32, 1, 2, 64), (Phase(12, 900, 1e-3, Mixture()),))
    texts = draw_corpus(12, 0, Mixture())
    tokenizer = train_tokenizer(texts)
    tokenizer.save_pretrained(tmp_path)
    path = phase_file(tmp_path, 0, settings)
    found = load_phase(path)
    assert phase_file(tmp_path, 0, replace(settings, seed=1)) != path == phase_file(tmp_path, 0, settings)
    told = [text for text in texts if len(tokenizer(text)["input_ids"]) < settings.longest]
    assert [tokenizer.decode(ids[:-1]) for ids, _ in found] == told
    assert all(len(ids) == len(weights) and ids[-1] == tokenizer.eos_token_id for ids, weights in found)


def test_shipped_models_stay_small_enough_to_ship():
    sizes = {path.parent.name: path.stat().st_size for path in DATA.glob("*/model.safetensors")}
    assert set(sizes) == {"offline-base", "offline-skilled", "offline-proxy"}
    assert max(sizes.values()) <= 16e6


def test_a_larger_share_of_the_keys_holds_every_smaller_one_and_none_of_another_split():
    keys = [f"key {number}" for number in range(2000)]
    few, many = ({key for key in keys if occurs(key, variety)} for variety in (0.1, 0.5))
    assert few < many and 0.08 < len(few) / len([key for key in keys if split_of(key) == "pretrain"]) < 0.12
    assert {split_of(key) for key in many} == {"pretrain"}


def test_a_corpus_holds_only_the_share_of_keys_that_it_is_to_hold(monkeypatch):
    drawn, draw = [], corpus.draw_task
    monkeypatch.setattr(corpus, "draw_task", lambda rng, **how: drawn.append(draw(rng, **how)) or drawn[-1])
    rng = random.Random(0)
    texts = [draw_document(rng, Mixture(variety=0.2)) for _ in range(400)]
    tasks = [task for task in drawn if task]
    assert any(texts) and {task.meta["family"] == "assembled" for task in tasks} == {True, False}
    assert all(occurs(task.meta["key"], 0.2) for task in tasks)


def test_a_bug_that_squares_a_number_for_ever_makes_no_task():
    squares = "def f(xs):\n    for x in xs:\n        xs.append(x ** 2)\n    return xs"
    task = replace(load_tasks("dev")[0], buggy=squares, tests=("assert f([3]) == [9]",))
    assert failing_trace(task) is None


def test_a_program_whose_one_line_fills_the_memory_is_stopped():
    found = run(f"def f(x):\n    return len('x' * (x * {MEMORY}))", "f", [(0,), (4,)])
    assert found == [(True, 0), (False, "MemoryError")]


def test_matrices_are_trained_together_as_they_are_one_by_one():
    import torch

    from nextkit.offline.muon import Muon

    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in ((8, 8), (24, 8), (8, 24), (24, 8))]
    before = [matrix.detach().clone() for matrix in ours]
    theirs = [torch.nn.Parameter(matrix.clone()) for matrix in before]
    how = dict(lr=0.1, weight_decay=0.01, momentum=0.95)
    optimizers = Muon(ours, **how), torch.optim.Muon(theirs, adjust_lr_fn="match_rms_adamw", **how)
    for _ in range(4):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for one, other, start in zip(ours, theirs, before, strict=True):  # torch's computes in bf16 everywhere
        assert (one - other).norm() < 0.02 * (other - start).norm()
