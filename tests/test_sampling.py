"""Sampling from a tiny random model."""

import pytest
import torch

from nextkit import sampling
from nextkit.prompting import Prompt
from nextkit.sampling import LocalSampler, load_model, recording
from nextkit.sampling.cache import CopiedPrompts, SharedPrompts, _attending, _weighed, remember, seen
from nextkit.sampling.decoding import _left_padded, decode
from nextkit.sampling.recording import RecordedPrompts

PROMPTS = [Prompt("a", "# Task: add\n# Buggy:\n"), Prompt("b", "def f(x):\n    return x - 1\n# Why:")]


@pytest.fixture(scope="module")
def sampler(tiny_model):
    return LocalSampler(tiny_model, dtype=torch.float32, progress=False)


def texts(rows):
    return [[sample.text for sample in row] for row in rows]


def test_greedy_samples_are_those_of_the_library(sampler):
    found = sampler.sample(PROMPTS, 1, temperature=0, max_tokens=12)
    model = sampler.model(None)
    for prompt, (sample,) in zip(PROMPTS, found, strict=True):
        ids = torch.tensor([sampler.tokenizer(prompt.text)["input_ids"]])
        out = model.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
        assert sample.text == sampler.tokenizer.decode(out, skip_special_tokens=True)


def test_the_same_seed_gives_the_same_samples_and_another_seed_others(sampler):
    draws = [texts(sampler.sample(PROMPTS, 4, max_tokens=10, seed=seed)) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_samples_come_back_in_the_order_of_the_prompts(sampler):
    forward = texts(sampler.sample(PROMPTS, 2, temperature=0, max_tokens=8))
    assert texts(sampler.sample(PROMPTS[::-1], 2, temperature=0, max_tokens=8)) == forward[::-1]


def test_n_samples_come_for_each_prompt(sampler):
    assert [len(row) for row in sampler.sample(PROMPTS, 5, max_tokens=4)] == [5, 5]


def test_a_sample_that_is_cut_off_says_so(sampler):
    sample = sampler.sample(PROMPTS[:1], 1, temperature=0, max_tokens=1)[0][0]
    assert (sample.tokens, sample.finish) == (1, "length")


def test_a_prompt_that_is_too_long_is_named(sampler):
    with pytest.raises(ValueError, match="'a'.*640 positions"):
        sampler.sample([Prompt("a", "x " * 900)], 1, max_tokens=100)


@pytest.mark.parametrize("n, room", [(4, 4), (4, 1), (1, 1), (3, 2)])
def test_what_the_memory_does_not_hold_at_once_is_done_in_halves(sampler, monkeypatch, n, room):
    decode, sizes = sampling.decode, []

    def tight(model, prompts, n, **how):
        sizes.append(len(prompts) * n)
        if sizes[-1] > room:
            raise RuntimeError("CUDA out of memory. Tried to allocate")
        return decode(model, prompts, n, **how)

    monkeypatch.setattr(sampling, "decode", tight)
    rows = sampler.sample(PROMPTS, n, temperature=0, max_tokens=6)
    monkeypatch.undo()
    assert texts(rows) == texts(sampler.sample(PROMPTS, n, temperature=0, max_tokens=6)) and max(sizes) > room


def test_pieces_of_one_prompts_samples_are_drawn_apart(sampler, monkeypatch):
    decode, seeds = sampling.decode, []

    def tight(model, prompts, n, **how):
        if len(prompts) * n > 1:
            raise RuntimeError("out of memory")
        seeds.append(how["seed"])
        return decode(model, prompts, n, **how)

    monkeypatch.setattr(sampling, "decode", tight)
    sampler.sample(PROMPTS[:1], 7, max_tokens=2)
    assert len(set(seeds)) == 7


def test_no_more_rows_than_were_said_are_decoded_together(tiny_model, monkeypatch):
    narrow, decode, sizes = LocalSampler(tiny_model, rows=3, progress=False), sampling.decode, []
    monkeypatch.setattr(sampling, "decode", lambda m, p, n, **how: sizes.append(len(p) * n) or decode(m, p, n, **how))
    assert [len(row) for row in narrow.sample(PROMPTS, 8, max_tokens=3)] == [8, 8] and max(sizes) == 3


@pytest.mark.parametrize("wrong", [dict(n=0), dict(n=1.5), dict(temperature=-0.8), dict(temperature=float("nan"))])
def test_what_cannot_be_drawn_is_refused_by_its_name(sampler, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        sampler.sample(PROMPTS, **dict(n=1) | wrong)


def test_one_text_that_ends_an_answer_may_stand_alone(tiny_model):
    assert LocalSampler(tiny_model, stop="# Task:").stop == ("# Task:",)


def test_a_memory_too_small_for_one_row_is_an_error(sampler, monkeypatch):
    def never(*_, **__):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(sampling, "decode", never)
    with pytest.raises(RuntimeError, match="out of memory"):
        sampler.sample(PROMPTS, 2, max_tokens=4)


def test_an_answer_ends_at_a_stop_text(tiny_model, sampler):
    whole = sampler.sample(PROMPTS[:1], 1, temperature=0, max_tokens=40)[0][0]
    mark = whole.text[10:13]
    stopping = LocalSampler(tiny_model, dtype=torch.float32, progress=False, stop=[mark])
    found = stopping.sample(PROMPTS[:1], 1, temperature=0, max_tokens=40)[0][0]
    assert found.text == whole.text.partition(mark)[0] and found.finish == "stop" and found.tokens < whole.tokens


def test_a_token_sees_itself_what_stands_before_it_and_no_padding():
    _, mask = _left_padded([[5, 6, 7], [8]], "cpu")
    found = seen(mask)
    assert found.shape == (2, 1, 3, 3) and found[0, 0].equal(torch.ones(3, 3, dtype=torch.bool).tril())
    assert found[1, 0].equal(torch.eye(3, dtype=torch.bool))  # the first two are padding


def test_a_model_that_was_released_is_loaded_again(tiny_model):
    sampler = LocalSampler(tiny_model, progress=False)
    before = sampler.sample(PROMPTS, 1, temperature=0, max_tokens=3)
    sampler.release()
    assert sampler.model_in_use is None and sampler.sample(PROMPTS, 1, temperature=0, max_tokens=3) == before


SHARING = [
    "llama",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "olmo2",
    "phi",
    "gemma",
    "gpt2",
    "gpt_neox",
    "starcoder2",
    "granite",
    "cohere",
    "opt",
]
COPYING = dict(
    mistral=dict(sliding_window=8),
    phi3=dict(sliding_window=8),
    qwen2=dict(use_sliding_window=True, sliding_window=8, max_window_layers=1),
    falcon=dict(alibi=True),
    gemma2={},
    diffllama={},  # the others do something of their own with what is remembered
    doge={},
    jetmoe={},
    deepseek_v2=dict(num_key_value_heads=4, q_lora_rank=None, kv_lora_rank=16, first_k_dense_replace=2),
)
KINDS = [*((kind, {}, SharedPrompts) for kind in SHARING), *((*pair, CopiedPrompts) for pair in COPYING.items())]


def random_model(kind, options):
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    torch.manual_seed(0)
    shape = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, vocab_size=64, initializer_range=0.5)
    shape |= dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
    if kind not in ("falcon", "gpt2", "gpt_neox"):
        shape |= dict(intermediate_size=48, num_key_value_heads=2)
    return AutoModelForCausalLM.from_config(CONFIG_MAPPING[kind](**shape | options)).eval()


@pytest.mark.parametrize(("kind", "options", "cache"), KINDS)
def test_what_is_remembered_gives_the_logits_that_reading_all_anew_would(kind, options, cache):
    model = random_model(kind, options)
    remembered = remember(model, 2, room=6)
    assert type(remembered) is cache and type(remember(model, 1, room=6)) is CopiedPrompts
    check_what_is_remembered(model, remembered)


@pytest.mark.parametrize("kind", SHARING)
def test_a_step_as_it_is_recorded_gives_those_logits_too(kind, monkeypatch):
    monkeypatch.setattr(recording, "WINDOW", 2)  # so that it grows on the way
    model = random_model(kind, {})
    check_what_is_remembered(model, RecordedPrompts(model, room=6))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="recordings are played on a GPU")
@pytest.mark.parametrize("kind", SHARING)
def test_a_recording_gives_those_logits_too(kind, monkeypatch):
    monkeypatch.setattr(recording, "WINDOW", 2)
    model = random_model(kind, {}).cuda()
    check_what_is_remembered(model, remember(model, 2, room=6))


def check_what_is_remembered(model, remembered):
    prompts = [[n * 7 % 60 + 1 for n in range(length)] for length in (30, 12)]
    rows = [[*prompt] for prompt in prompts for _ in range(2)]
    with torch.inference_mode():
        logits = remembered.read(*_left_padded(prompts, model.device)).repeat_interleave(2, 0)
        remembered.repeat(2)
        for kept in ([0, 1, 2, 3], None, [0, 2, 3], None, [0, 1], [0]):
            if kept:
                rows, logits = [rows[row] for row in kept], logits[kept]
                remembered.keep(torch.tensor(kept, device=model.device))
            for row, found in zip(rows, logits, strict=True):
                anew = model(torch.tensor([row], device=model.device), use_cache=False).logits[0, -1]
                assert (found - anew).abs().max() < 1e-4 * anew.abs().max()
            tokens = torch.arange(7, 7 + len(rows), device=model.device)
            for row, token in zip(rows, tokens.tolist(), strict=True):
                row.append(token)
            logits = remembered.go_on(tokens)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_great_scores_are_not_rounded_in_half_precision(device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    torch.manual_seed(0)
    keys, values = torch.randn(1, 2, 300, 64) + 3, torch.randn(1, 2, 300, 64)  # a part that all scores have in common
    query = torch.randn(1, 2, 1, 64) + 3
    query, keys, values = (each.to(device, torch.bfloat16) for each in (query, keys, values))
    found, _ = _weighed(query, keys, values, scaling=0.125)
    exact = (query.double() @ keys.double().mT * 0.125).softmax(-1) @ values.double()
    assert (found - exact).abs().max() < 0.01 * exact.abs().max()


def test_another_thread_keeps_its_mask_while_a_model_answers(tiny_model):
    model, (ids, mask) = load_model(tiny_model), _left_padded([[5, 6, 7], [8]], "cpu")
    with torch.inference_mode():
        alone = model(ids, attention_mask=mask).logits
        with _attending(model, None):
            assert torch.allclose(model(ids, attention_mask=mask).logits, alone)


def test_no_token_is_read_that_nothing_is_drawn_after(tiny_model):
    model, read = load_model(tiny_model), []
    model.register_forward_hook(lambda *_: read.append(1))
    decode(model, [[5, 6, 7]], 2, temperature=0, max_tokens=1, seed=0, eos=[])  # the first asks how the model attends
    read.clear()
    decode(model, [[5, 6, 7]], 2, temperature=0, max_tokens=3, seed=0, eos=[])
    assert len(read) == 3


def test_a_model_attends_as_before_once_it_has_answered(tiny_model):
    model = load_model(tiny_model)
    decode(model, [[5, 6, 7]], 2, temperature=0, max_tokens=3, seed=0, eos=[])
    assert model.config._attn_implementation == "sdpa"


def test_two_threads_can_sample_from_one_model(sampler):
    from concurrent.futures import ThreadPoolExecutor

    alone = [texts(sampler.sample(PROMPTS, 3, max_tokens=20, seed=seed)) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda seed: texts(sampler.sample(PROMPTS, 3, max_tokens=20, seed=seed)), range(4))
        assert [*together] == alone
