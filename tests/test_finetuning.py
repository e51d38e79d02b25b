"""Tuning a tiny random model, and what is written of it."""

import json
import shutil
from pathlib import Path

import pytest

from nextkit.filtering import Example
from nextkit.finetuning import LoraSettings, encode_example, finetune, loss_mask, merge
from nextkit.finetuning.job import _told
from nextkit.prompting import Prompt
from nextkit.sampling import LocalSampler, load_tokenizer

EXAMPLES = [Example("t", "def f(x):\n# Why:", f" no\n# Fix:\n{'x' * k}") for k in range(1, 9)]
SETTINGS = LoraSettings(rank=4, alpha=8, epochs=20, max_steps=20, batch_size=4, learning_rate=2e-2)


@pytest.fixture(scope="module")
def adapter(tiny_model, tmp_path_factory):
    return finetune(tiny_model, EXAMPLES, tmp_path_factory.mktemp("run") / "adapter", SETTINGS)


def test_the_loss_falls(adapter):
    assert adapter.steps == 20 and sum(adapter.losses[-5:]) < sum(adapter.losses[:5])


def test_the_prompt_carries_no_loss_and_the_end_mark_does(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    feature = encode_example(tokenizer, EXAMPLES[0])
    prompt = len(tokenizer(EXAMPLES[0].prompt)["input_ids"])
    assert set(feature["labels"][:prompt]) == {-100} and -100 not in feature["labels"][prompt:]
    assert feature["labels"][-1] == tokenizer.eos_token_id


def test_the_loss_mask_spells_the_example(tiny_model):
    mask = loss_mask(load_tokenizer(tiny_model), EXAMPLES[0])
    assert "".join(token for token, _ in mask).startswith(EXAMPLES[0].prompt + EXAMPLES[0].completion)


def test_a_tuned_model_answers_otherwise_and_the_base_stays_as_it_was(tiny_model, adapter):
    import torch

    sampler = LocalSampler(tiny_model, dtype=torch.float32, progress=False)
    ask = lambda path: sampler.sample([Prompt("t", EXAMPLES[0].prompt)], 1, temperature=0, max_tokens=6, adapter=path)  # noqa: E731
    before = ask(None)
    assert ask(adapter.path) != before == ask(None)


def test_a_finished_adapter_is_not_trained_again(tiny_model, adapter):
    assert finetune(tiny_model, EXAMPLES, adapter.path, SETTINGS) == adapter


@pytest.mark.parametrize("changed", [dict(examples=EXAMPLES[1:]), dict(settings=LoraSettings(rank=8)), dict(chat=True)])
def test_an_adapter_that_was_made_otherwise_is_not_taken_for_it(tiny_model, adapter, changed):
    with pytest.raises(ValueError, match="tuned with other examples or settings.*a folder of its own"):
        finetune(**(dict(base=tiny_model, examples=EXAMPLES, out=adapter.path, settings=SETTINGS) | changed))


def test_an_adapter_that_was_tuned_anew_is_loaded_anew(tiny_model, tmp_path):
    sampler, answers = LocalSampler(tiny_model, progress=False), []
    for rate in (0.02, 0.2):
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
        finetune(tiny_model, EXAMPLES, tmp_path / "a", LoraSettings(max_steps=3, batch_size=4, learning_rate=rate))
        weights = sampler.model(str(tmp_path / "a")).state_dict()
        answers.append(next(value.clone() for name, value in weights.items() if "q_proj" in name))
    assert not answers[0].equal(answers[1])


def test_an_adapter_has_the_layout_of_peft_and_names_its_base(tiny_model, adapter):
    config = json.loads((Path(adapter.path) / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == tiny_model and config["r"] == 4
    assert (Path(adapter.path) / "adapter_model.safetensors").exists()


def test_the_base_is_named_by_its_whole_path(tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(tiny_model).parent)
    adapter = finetune(Path(tiny_model).name, EXAMPLES, tmp_path / "a", LoraSettings(max_steps=1, batch_size=4))
    config = json.loads((Path(adapter.path) / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == tiny_model


def test_the_layers_that_are_tuned_can_be_chosen(tiny_model, tmp_path):
    from safetensors.torch import load_file

    settings = LoraSettings(target=("q_proj", "v_proj"), max_steps=1, batch_size=4)
    adapter = finetune(tiny_model, EXAMPLES, tmp_path / "a", settings)
    layers = {name.split(".lora")[0].split(".")[-1] for name in load_file(tmp_path / "a/adapter_model.safetensors")}
    assert layers == {"q_proj", "v_proj"} and adapter.parameters < 10_000


def test_a_merged_model_answers_as_base_and_adapter_do(tiny_model, adapter, tmp_path):
    import torch
    from transformers import AutoModelForCausalLM

    folder = merge(adapter.path, tmp_path / "merged")
    prompts = [Prompt("t", EXAMPLES[0].prompt), Prompt("u", "def f(x):\n")]
    texts = []
    for model, path in ((tiny_model, adapter.path), (folder, None)):
        sampler = LocalSampler(model, dtype=torch.float32, progress=False)
        texts.append([row[0].text for row in sampler.sample(prompts, 1, temperature=0, max_tokens=12, adapter=path)])
    assert texts[0] == texts[1]
    stored = AutoModelForCausalLM.from_pretrained(tiny_model).dtype
    assert AutoModelForCausalLM.from_pretrained(folder).dtype == stored
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_a_merge_overwrites_nothing(adapter, tmp_path):
    with pytest.raises(ValueError, match="exists already: give the merged model a folder of its own"):
        merge(adapter, tmp_path)


def test_nothing_to_train_on_is_said_clearly(tiny_model, tmp_path):
    with pytest.raises(ValueError, match="no examples to train on.*sample more"):
        finetune(tiny_model, [], tmp_path / "a")


def test_tuning_in_a_process_of_its_own_gives_the_same_adapter(tiny_model, tmp_path):
    settings = LoraSettings(rank=4, max_steps=3, batch_size=4)
    here = finetune(tiny_model, EXAMPLES, tmp_path / "here", settings)
    told = []
    apart = finetune(
        tiny_model, EXAMPLES, tmp_path / "apart", settings, apart=True, report=lambda *step: told.append(step)
    )
    assert [step for step, _, _ in told] == [1, 2, 3]
    assert apart.losses == here.losses and (tmp_path / "apart" / "adapter_config.json").exists()


def test_a_folder_that_holds_something_else_is_left_as_it_is(tiny_model, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="a folder of its own"):
        finetune(tiny_model, EXAMPLES, tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_process_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="(?s)tuning in a process of its own failed.*no model at 'nowhere'"):
        finetune("nowhere", EXAMPLES, tmp_path / "a", apart=True)


@pytest.mark.parametrize(
    "line, told", [("[1, 9, 0.5]\n", [1, 9, 0.5]), ("Hello from a library!\n", None), ("3\n", None)]
)
def test_a_line_that_a_library_prints_is_no_step(line, told):
    assert _told(line) == told


@pytest.mark.parametrize(
    "wrong", [dict(learning_rate=-1), dict(alpha=0), dict(warmup_steps=-1), dict(rank=0), dict(batch_size=2.5)]
)
def test_settings_that_cannot_train_are_refused_by_their_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LoraSettings(**wrong)
