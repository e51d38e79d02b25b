"""Models of other makes and kinds of chat template: tiny random ones, sampled from and tuned."""

import pytest

from nextkit.filtering import Example
from nextkit.finetuning import LoraSettings, encode_example, finetune
from nextkit.prompting import Prompt, messages
from nextkit.sampling import LocalSampler, encode_prompt, load_tokenizer

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HEADERS = (
    "{% for m in messages %}<|start|>{{ m.role }}<|end|>\n\n{{ m.content }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant<|end|>\n\n{% endif %}"
)
INST = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
)
TEMPLATES = dict(qwen2=CHATML, llama=HEADERS, mistral=INST)
PROMPT = Prompt("t", "whole", "# Task: now\n# Why:", ("# Task: before\n# Why: so\n# Fix:\nx = 1",), "Repair it.")


def tiny(kind, size):
    """A random model of this make."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    torch.manual_seed(0)
    shape = dict(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    )
    config = CONFIG_MAPPING[kind](
        vocab_size=size, max_position_embeddings=512, eos_token_id=0, bos_token_id=None, **shape
    )
    return AutoModelForCausalLM.from_config(config)


@pytest.fixture(scope="module", params=TEMPLATES)
def folder(request, tiny_model, tmp_path_factory):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = TEMPLATES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    tiny(request.param, len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def sampler(folder):
    import torch

    return LocalSampler(folder, dtype=torch.float32, progress=False)


def test_a_prompt_in_turns_has_its_instruction_examples_and_question():
    assert [(turn["role"], turn["content"]) for turn in messages(PROMPT)] == [
        ("system", "Repair it."), ("user", "# Task: before\n# Why:"), ("assistant", "so\n# Fix:\nx = 1"),
        ("user", "# Task: now\n# Why:"),
    ]  # fmt: skip


def test_each_template_gets_the_turns_and_asks_for_an_answer(folder):
    tokenizer = load_tokenizer(folder)
    text = tokenizer.decode(encode_prompt(tokenizer, PROMPT, chat=True))
    assert text.index("Repair it.") < text.index("before") < text.index("so\n# Fix:") < text.index("now")
    assert text.endswith(("assistant\n", "assistant<|end|>\n\n", "[/INST]"))


def test_a_chat_model_is_talked_to_in_turns_unless_told_otherwise(folder, sampler):
    assert sampler.chat and not LocalSampler(folder, chat=False).chat
    plain = encode_prompt(sampler.tokenizer, PROMPT, chat=False)
    assert sampler.tokenizer.decode(plain) == "whole"


def test_greedy_samples_are_those_of_the_library(sampler):
    import torch

    (sample,) = sampler.sample([PROMPT], 1, temperature=0, max_tokens=10)[0]
    ids = torch.tensor([encode_prompt(sampler.tokenizer, PROMPT, chat=True)])
    out = sampler.model(None).generate(ids, max_new_tokens=10, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
    assert sample.text == sampler.tokenizer.decode(out, skip_special_tokens=True)


def test_tuning_sees_the_prompt_that_sampling_will(folder):
    tokenizer = load_tokenizer(folder)
    feature = encode_example(tokenizer, Example("t", "# Task: now\n# Why:", " so"), chat=True)
    prompt = encode_prompt(tokenizer, Prompt("t", "# Task: now\n# Why:"), chat=True)
    assert feature["input_ids"][: len(prompt)] == prompt and set(feature["labels"][: len(prompt)]) == {-100}


def test_a_chat_model_can_be_tuned_and_answers_otherwise(folder, sampler, tmp_path):
    examples = [Example("t", "# Task: now\n# Why:", f" yes{'!' * k}") for k in range(6)]
    settings = LoraSettings(rank=4, max_steps=12, epochs=12, batch_size=6, learning_rate=2e-2)
    adapter = finetune(folder, examples, tmp_path / "adapter", settings, chat=True)
    assert adapter.losses[-1] < adapter.losses[0]
    ask = [Prompt("t", "# Task: now\n# Why:")]
    before, after = (
        sampler.sample(ask, 1, temperature=0, max_tokens=5, adapter=a)[0][0].text for a in (None, adapter.path)
    )
    assert before != after
