"""What a model will need, held against what it takes."""

import pytest

from nextkit.sampling.sizing import SHAPES, Card, Job, cache_bytes, hours, lora_parameters, parameters, shape, sizes


def test_the_parameters_are_those_of_the_weights(tiny_model):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert parameters(shape(tiny_model)) == sum(p.numel() for p in model.parameters())


def test_the_cache_is_as_large_as_computed(tiny_model):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    cache = model(torch.zeros((3, 5), dtype=torch.long), use_cache=True).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert held == 3 * 5 * cache_bytes(shape(tiny_model))


def test_the_adapter_is_as_large_as_computed(tiny_model):
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_model),
        LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    assert model.get_nb_trainable_parameters()[0] == lora_parameters(shape(tiny_model), 4)


def test_the_public_shapes_have_the_sizes_of_their_names():
    for name in SHAPES:
        stated = float(name.rpartition("-")[2].removesuffix("B"))
        assert 0.9 < parameters(shape(name)) / 1e9 / stated < 1.1, name


def test_more_rows_need_more_cache_and_nothing_else(tiny_model):
    few, many = (sizes([tiny_model], rows=rows).iloc[0] for rows in (1, 10))
    assert many.cache == pytest.approx(10 * few.cache) and many.weights == few.weights


def test_twice_the_tasks_take_twice_the_hours_and_a_faster_card_less():
    one, two = (hours("Qwen2.5-Coder-0.5B", Job(tasks=tasks)) for tasks in (100, 200))
    assert all(two[name] == pytest.approx(2 * one[name]) for name in one)
    assert hours("Qwen2.5-Coder-0.5B", Job(tasks=100), Card(bandwidth=6.7))["sampling"] == pytest.approx(
        one["sampling"] / 2
    )


def test_older_shapes_are_sized_too(tmp_path):
    from transformers import GPT2Config, GPTNeoXConfig

    for number, config in enumerate(
        (
            GPT2Config(n_embd=32, n_layer=2, n_head=4),
            GPTNeoXConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64),
        )
    ):
        config.save_pretrained(tmp_path / str(number))
        assert sizes([str(tmp_path / str(number))]).lora.iloc[0] > 0
