"""Models of other makes and kinds of chat template: tiny random ones, sampled from and tuned."""

import pytest

from nextkit.filtering import Example
from nextkit.finetuning import LoraSettings, encode_example, end_mark, finetune
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
ENDS = dict(qwen2="<|im_end|>", llama="<|eot|>", mistral="</s>")  # of a turn
PROMPT = Prompt("t", "whole", "# Task: now\n# Why:", ("# Task: before\n# Why: so\n# Fix:\nx = 1",), "Repair it.")


def tiny(kind, size):
    """A random model of this make."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    torch.manual_seed(0)
    shape = dict(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2
    )
    shape |= dict(max_position_embeddings=512, initializer_range=0.3)  # the default is too small to learn from
    config = CONFIG_MAPPING[kind](vocab_size=size, eos_token_id=0, bos_token_id=None, **shape)
    return AutoModelForCausalLM.from_config(config)


@pytest.fixture(scope="module", params=TEMPLATES)
def folder(request, tiny_model, tmp_path_factory):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = TEMPLATES[request.param]
    tokenizer.add_tokens([ENDS[request.param]], special_tokens=True)
    folder = tmp_path_factory.mktemp(request.param)
    model = tiny(request.param, len(tokenizer))
    model.generation_config.eos_token_id = [0, len(tokenizer) - 1]
    model.save_pretrained(folder)
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


def test_a_model_that_thinks_first_unless_told_not_to_is_told_not_to(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    thoughtless = "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    tokenizer.chat_template = CHATML.replace("assistant\n{% endif", f"assistant\n{thoughtless}{{% endif")
    assert tokenizer.decode(encode_prompt(tokenizer, PROMPT, chat=True)).endswith("assistant\n<think>\n\n</think>\n\n")


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


def test_tuning_sees_the_prompt_that_sampling_will_and_learns_the_answer_alone(folder):
    tokenizer = load_tokenizer(folder)
    feature = encode_example(tokenizer, Example("t", "# Task: now\n# Why:", " so"), chat=True)
    prompt = encode_prompt(tokenizer, Prompt("t", "# Task: now\n# Why:"), chat=True)
    assert feature["input_ids"][: len(prompt)] == prompt and set(feature["labels"][: len(prompt)]) == {-100}
    assert tokenizer.decode(feature["labels"][len(prompt) : -1]) == " so"


def test_an_answer_ends_as_the_template_ends_a_turn_if_sampling_stops_there(folder, sampler):
    tokenizer, stops = load_tokenizer(folder), sampler.model().generation_config.eos_token_id
    mark = tokenizer.decode([end_mark(tokenizer, chat=True, stops=stops)])
    assert mark in ENDS.values() and mark in tokenizer.chat_template
    for otherwise in (dict(chat=True, stops=[0]), dict(chat=False, stops=stops)):
        assert end_mark(tokenizer, **otherwise) == tokenizer.eos_token_id


def test_a_tuned_chat_model_gives_the_answer_it_learnt_and_stops(folder, sampler, tmp_path):
    prompt = Prompt("t", "# Task: now\n# Why:")
    examples = [Example("t", prompt.text, " no")] * 4
    settings = LoraSettings(rank=16, max_steps=30, epochs=30, batch_size=4, learning_rate=2e-2)
    adapter = finetune(folder, examples, tmp_path / "adapter", settings, chat=True)
    assert adapter.losses[-1] < 0.5 < adapter.losses[0]
    before, after = (sampler.sample([prompt], 1, temperature=0, max_tokens=9, adapter=a) for a in (None, adapter.path))
    assert after[0][0].text == " no" != before[0][0].text and after[0][0].finish == "stop"


def test_an_instruction_that_a_template_leaves_out_goes_with_the_first_question(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.chat_template = "{% for m in messages if m.role != 'system' %}<{{ m.content }}>{% endfor %}"
    text = tokenizer.decode(encode_prompt(tokenizer, PROMPT, True))
    assert text.startswith("<Repair it.\n\n# Task: before")


def test_room_is_left_for_the_turns_of_examples(folder):
    sampler = LocalSampler(folder, progress=False)
    shot = "# Task: b\n# Why: so\n# Fix:\nx = 1"
    for count in (0, 6):
        prompt = Prompt("t", "\n\n".join([*[shot] * count, "# Task: n\n# Why:"]), "# Task: n\n# Why:", (shot,) * count)
        turns = len(encode_prompt(sampler.tokenizer, prompt, True)) - sampler.length(prompt.text)
        assert sampler.positions - sampler.room(50, count) - 50 >= turns


def test_a_tokenizer_that_names_no_end_ends_answers_as_the_model_does(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    tokenizer.eos_token = None
    assert end_mark(tokenizer, stops=(7, 9)) == 7
    with pytest.raises(ValueError, match="eos_token_id"):
        end_mark(tokenizer)
