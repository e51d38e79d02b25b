"""Tuning that is killed, runs out of memory, stops early, or runs in two processes; on a tiny random model."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from nextkit.filtering import Example
from nextkit.finetuning import LoraSettings, _split, encode_example, finetune
from nextkit.finetuning.job import write_job
from nextkit.sampling import load_model, load_tokenizer

# eleven examples of five tasks: the last batch of an epoch has three
EXAMPLES = [Example(f"t/{k % 5}", "def f(x):\n# Why:", f" no\n# Fix:\n{'x' * (k % 7 + 1)}") for k in range(11)]
SETTINGS = LoraSettings(rank=4, alpha=8, epochs=4, max_steps=10, batch_size=4, learning_rate=1e-2, save_steps=4)


@pytest.fixture(autouse=True, scope="module")
def in_float32():
    """Sums in another order must not differ, so no bfloat16, which some processors compute in."""
    import torch

    from nextkit import finetuning
    from nextkit.finetuning import training

    with pytest.MonkeyPatch.context() as patch:
        for module in (finetuning, training):
            patch.setattr(module, "best_dtype", lambda device: torch.float32)
        yield


@pytest.fixture(scope="module")
def unbroken(tiny_model, tmp_path_factory):
    return finetune(tiny_model, EXAMPLES, tmp_path_factory.mktemp("unbroken") / "adapter", SETTINGS)


def tune_until(step, *args):
    """Tune, and be killed at this step."""

    def kill(now, steps, loss):
        if now == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(*args, report=kill)


def watched(*args):
    """(Adapter, the steps that were taken for it)."""
    steps = []
    return finetune(*args, report=lambda step, *rest: steps.append(step)), steps


def weights(adapter):
    from safetensors.torch import load_file

    return load_file(f"{adapter.path}/adapter_model.safetensors")


def assert_same(adapter, other):
    import torch

    torch.testing.assert_close(weights(adapter), weights(other), rtol=1e-3, atol=1e-4)
    assert adapter.losses == pytest.approx(other.losses, abs=1e-3)


def logged(out):
    return [json.loads(line) for line in out.with_name(out.name + ".losses.jsonl").read_text().splitlines()]


def starved(monkeypatch, fits):
    """Let the device run out of memory in each step for which fits(trainer, examples at a time, step) is false."""
    from transformers import Trainer

    real = Trainer.training_step

    def step(self, model, inputs, *args, **kwargs):
        if not fits(self, len(inputs["input_ids"]), self.state.global_step + 1):
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return real(self, model, inputs, *args, **kwargs)

    monkeypatch.setattr(Trainer, "training_step", step)


def test_each_epoch_trains_on_each_example_once_in_batches_that_do_not_depend_on_how_they_are_cut():
    from nextkit.finetuning.training import schedule

    whole = schedule(list(range(11)), SETTINGS, steps=6)
    assert sorted(sum(whole[:3], [])) == sorted(sum(whole[3:], [])) == list(range(11)) and whole[:3] != whole[3:]
    halves = schedule(list(range(11)), SETTINGS, steps=6, pieces=2)
    assert [sorted(a + b) for a, b in zip(halves[::2], halves[1::2], strict=True)] == list(map(sorted, whole))


def test_tuning_that_was_killed_goes_on_from_its_checkpoint_as_if_it_had_not_been(tiny_model, tmp_path, unbroken):
    args = (tiny_model, EXAMPLES, tmp_path / "adapter", SETTINGS)
    tune_until(6, *args)
    adapter, steps = watched(*args)
    assert steps == [5, 6, 7, 8, 9, 10]
    assert_same(adapter, unbroken)


def test_a_half_written_checkpoint_is_not_gone_on_from(tiny_model, tmp_path, unbroken):
    args = (tiny_model, EXAMPLES, tmp_path / "adapter", SETTINGS)
    tune_until(6, *args)
    folder = tmp_path / "adapter.checkpoints"
    shutil.copytree(folder / "checkpoint-4", folder / "checkpoint-5")
    state = folder / "checkpoint-5" / "trainer_state.json"
    state.write_text(state.read_text()[:99])
    adapter, steps = watched(*args)
    assert steps[0] == 5
    assert_same(adapter, unbroken)


@pytest.mark.parametrize("change", ["examples", "settings"])
def test_a_checkpoint_of_other_examples_or_settings_is_not_gone_on_from(tiny_model, tmp_path, change):
    tune_until(6, tiny_model, EXAMPLES, tmp_path / "adapter", SETTINGS)
    examples = EXAMPLES[1:] if change == "examples" else EXAMPLES
    settings = LoraSettings(rank=8, max_steps=5, batch_size=4) if change == "settings" else SETTINGS
    assert watched(tiny_model, examples, tmp_path / "adapter", settings)[1][0] == 1


def test_one_checkpoint_is_kept_and_none_of_a_finished_adapter(tiny_model, tmp_path):
    args = (tiny_model, EXAMPLES, tmp_path / "adapter", SETTINGS)
    tune_until(9, *args)
    assert [path.name for path in tmp_path.glob("*.checkpoints/checkpoint-*")] == ["checkpoint-8"]
    finetune(*args)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter", "adapter.losses.jsonl"]


def test_without_save_steps_no_checkpoint_is_written(tiny_model, tmp_path):
    settings = LoraSettings(rank=4, max_steps=5, batch_size=4, save_steps=0)
    tune_until(5, tiny_model, EXAMPLES, tmp_path / "adapter", settings)
    assert not list(tmp_path.glob("*.checkpoints/checkpoint-*"))


def test_losses_stand_beside_the_adapter_as_they_come(tiny_model, tmp_path):
    out, seen = tmp_path / "adapter", []
    adapter = finetune(tiny_model, EXAMPLES, out, SETTINGS, report=lambda *told: seen.append((told, logged(out)[-1])))
    assert all(told == (line["step"], line["steps"], line["loss"]) for told, line in seen)
    assert tuple(line["loss"] for line in logged(out)) == adapter.losses
    times = [line["time"] for line in logged(out)]
    assert times == sorted(times) and [line["step"] for line in logged(out)] == list(range(1, 11))


def test_losses_after_the_checkpoint_are_dropped_when_tuning_goes_on(tiny_model, tmp_path):
    args = (tiny_model, EXAMPLES, tmp_path / "adapter", SETTINGS)
    tune_until(7, *args)
    before = logged(tmp_path / "adapter")
    with (tmp_path / "adapter.losses.jsonl").open("a") as file:
        file.write('{"step": 8, "st')  # what a kill leaves
    finetune(*args)
    after = logged(tmp_path / "adapter")
    assert [line["step"] for line in before] == list(range(1, 8)) and after[:4] == before[:4]
    assert [line["step"] for line in after] == list(range(1, 11))


@pytest.mark.parametrize("most", [2, 1])
def test_where_memory_runs_out_the_batch_is_cut_and_the_loss_stays_the_same(
    tiny_model, tmp_path, monkeypatch, unbroken, most
):
    starved(monkeypatch, lambda trainer, size, step: size <= most)
    adapter, steps = watched(tiny_model, EXAMPLES, tmp_path / "adapter", SETTINGS)
    assert steps == list(range(1, 11))
    assert_same(adapter, unbroken)


def test_where_memory_runs_out_late_tuning_goes_on_from_the_last_checkpoint(
    tiny_model, tmp_path, monkeypatch, unbroken
):
    starved(monkeypatch, lambda trainer, size, step: size <= 2 or step < 7)
    adapter, steps = watched(tiny_model, EXAMPLES, tmp_path / "adapter", SETTINGS)
    assert steps == [1, 2, 3, 4, 5, 6, 5, 6, 7, 8, 9, 10]
    assert [line["step"] for line in logged(tmp_path / "adapter")] == list(range(1, 11))
    assert_same(adapter, unbroken)


def test_gradient_checkpointing_comes_last_and_changes_no_loss(tiny_model, tmp_path, monkeypatch, unbroken):
    tried = []

    def fits(trainer, size, step):
        tried.append((size, trainer.model.base_model.model.is_activation_checkpointing))
        return tried[-1] == (1, True)

    starved(monkeypatch, fits)
    assert_same(finetune(tiny_model, EXAMPLES, tmp_path / "adapter", SETTINGS), unbroken)
    assert tried[:4] == [(4, False), (2, False), (1, False), (1, True)]


def test_a_device_that_holds_no_example_is_said_clearly(tiny_model, tmp_path, monkeypatch):
    starved(monkeypatch, lambda *what: False)
    with pytest.raises(RuntimeError, match=r"tuning '.*' ran out of memory with a batch of 4 .* take a smaller model"):
        finetune(tiny_model, EXAMPLES, tmp_path / "adapter", SETTINGS)


def test_another_error_of_the_device_is_not_taken_for_too_little_memory(tiny_model, tmp_path, monkeypatch):
    from transformers import Trainer

    def fail(*args, **kwargs):
        raise RuntimeError("device-side assert triggered")

    monkeypatch.setattr(Trainer, "training_step", fail)
    with pytest.raises(RuntimeError, match="^device-side"):
        finetune(tiny_model, EXAMPLES, tmp_path / "adapter", SETTINGS)


EARLY = LoraSettings(rank=16, epochs=40, batch_size=4, learning_rate=2e-2, validation=0.2, patience=2)


@pytest.fixture(scope="module")
def at_odds():
    """Examples of which those held out have another answer, so that learning the others does them no good for long."""
    held_out = {example.task_id for example in _split(EXAMPLES, EARLY)[1]}
    return [replace(e, completion="dddddd" if e.task_id in held_out else "x(x)x:") for e in EXAMPLES]


@pytest.fixture(scope="module")
def stopped(tiny_model, tmp_path_factory, at_odds):
    return finetune(tiny_model, at_odds, tmp_path_factory.mktemp("stopped") / "adapter", EARLY)


def test_tuning_stops_when_what_is_held_out_is_no_longer_learnt(stopped):
    steps, losses = zip(*stopped.validation_losses, strict=True)
    assert stopped.steps == len(stopped.losses) == steps[-1] < 40 * 3
    assert losses.index(min(losses)) == len(losses) - 3


def test_the_weights_with_the_least_loss_are_kept(stopped, tiny_model, at_odds):
    import torch

    from nextkit.sampling import load_model, load_tokenizer

    model, tokenizer = load_model(tiny_model, stopped.path), load_tokenizer(tiny_model)
    held_out = [encode_example(tokenizer, example) for example in _split(at_odds, EARLY)[1]]
    ids, labels = (torch.tensor([feature[name] for feature in held_out]) for name in ("input_ids", "labels"))
    least, last = min(loss for _, loss in stopped.validation_losses), stopped.validation_losses[-1][1]
    assert model(input_ids=ids, labels=labels).loss.item() == pytest.approx(least, abs=1e-3) and last > least + 1e-2


def test_no_task_is_both_trained_on_and_held_out():
    train, held_out = _split(EXAMPLES, LoraSettings(validation=0.2))
    assert not {e.task_id for e in train} & {e.task_id for e in held_out}
    assert len(train) + len(held_out) == 11 and 2 <= len(held_out) <= 4
    assert _split(EXAMPLES, LoraSettings(validation=0.2)) == (train, held_out)
    assert _split(EXAMPLES, LoraSettings(validation=0.2, seed=1)) != (train, held_out)
    assert _split(EXAMPLES, LoraSettings()) == (EXAMPLES, [])


def test_settings_that_cannot_be_are_said_clearly(tiny_model, tmp_path):
    with pytest.raises(ValueError, match="validation is 1.5: give a share"):
        LoraSettings(validation=1.5)
    with pytest.raises(ValueError, match="patience is 2 but nothing is held out: set validation"):
        LoraSettings(patience=2)
    with pytest.raises(ValueError, match="leaves none of 1 tasks to train on"):
        finetune(tiny_model, EXAMPLES[:1], tmp_path / "adapter", LoraSettings(validation=0.1))


def test_early_stopping_goes_on_after_a_kill(tiny_model, tmp_path, at_odds, stopped):
    args = (tiny_model, at_odds, tmp_path / "adapter", EARLY)
    tune_until(stopped.steps - 1, *args)
    again, steps = watched(*args)
    assert steps[0] > 1 and again.steps == stopped.steps
    assert_same(again, stopped)


def test_two_processes_give_the_losses_of_one_and_one_adapter(tiny_model, tmp_path, unbroken):
    write_job(tmp_path / "job.json", tiny_model, EXAMPLES, tmp_path / "run" / "adapter", SETTINGS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, "-m", "nextkit.finetuning.job", str(tmp_path / "job.json")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    adapter = finetune(tiny_model, EXAMPLES, tmp_path / "run" / "adapter", SETTINGS)
    assert adapter.losses == pytest.approx(unbroken.losses, rel=0.02)
    assert [json.loads(line)[0] for line in done.stdout.splitlines()] == list(range(1, 11))
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["adapter", "adapter.losses.jsonl"]


def test_a_batch_that_cannot_be_dealt_out_is_said_clearly(monkeypatch):
    from nextkit.finetuning.training import Plan

    monkeypatch.setenv("WORLD_SIZE", "3")
    plan = Plan("m", None, None, EXAMPLES, [], SETTINGS, None, "", None)
    with pytest.raises(ValueError, match="batch_size is 4, with 3 processes: give a multiple of 3"):
        _ = plan.share


def test_logits_of_what_counts_alone_and_no_mask_give_the_same_loss(tiny_model, tmp_path):
    import torch
    from transformers import TrainingArguments

    from nextkit.finetuning.training import AnswerTrainer, Collator

    tokenizer, model, seen = load_tokenizer(tiny_model), load_model(tiny_model), []
    tokenizer.padding_side = "right"
    features = [
        dict(input_ids=[5, 6, 7, 8, 9], labels=[-100] * 3 + [8, 9]),
        dict(input_ids=[5, 6, 7], labels=[-100, -100, 7]),
    ]
    batch = Collator(tokenizer)([features[:1], features[1:]])
    trainer = AnswerTrainer(model=model, args=TrainingArguments(str(tmp_path), use_cpu=True, report_to=[]))
    watch = model.lm_head.register_forward_hook(lambda _, given, logits: seen.append(logits.shape[:2]))
    found = trainer.compute_loss(model, batch)
    watch.remove()
    assert "attention_mask" not in batch and seen == [(1, 3)]
    whole = tokenizer.pad([dict(input_ids=f["input_ids"]) for f in features], return_tensors="pt")
    labels = torch.tensor([features[0]["labels"], features[1]["labels"] + [-100] * 2])
    assert torch.allclose(found, model(**whole, labels=labels).loss, atol=1e-6)


def test_what_a_layer_reads_is_not_turned_into_float32_and_back(tiny_model, tmp_path, monkeypatch):
    import torch

    from nextkit import finetuning
    from nextkit.finetuning import training

    read, with_lora = set(), finetuning._with_lora

    def watched(model, settings):
        model = with_lora(model, settings)
        layers = [module for name, module in model.named_modules() if name.endswith("lora_A.default")]
        for layer in layers[2:]:  # the first read what the embedding gives
            layer.register_forward_pre_hook(lambda _, given: read.add(given[0].dtype))
        return model

    for module in (finetuning, training):
        monkeypatch.setattr(module, "best_dtype", lambda device: torch.bfloat16)
    monkeypatch.setattr(finetuning, "_with_lora", watched)
    finetune(tiny_model, EXAMPLES, tmp_path / "adapter", replace(SETTINGS, max_steps=2))
    assert read == {torch.bfloat16}
