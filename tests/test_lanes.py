"""Lanes: groups of prompts side by side on a CPU, with a tiny random model."""

import threading

import pytest

from nextkit import sampling
from nextkit.prompting import Prompt
from nextkit.sampling import LocalSampler
from nextkit.sampling.decoding import decode
from nextkit.sampling.lanes import side_by_side

PROMPTS = [Prompt(str(n), "# Task: add\n" + "x = 1\n" * n) for n in range(6)]


@pytest.fixture
def two_cores():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def sampler(tiny_model):
    return LocalSampler(tiny_model, rows=2, device="cpu", progress=False)


def texts(rows):
    return [[sample.text for sample in row] for row in rows]


def test_lanes_draw_what_one_core_draws_group_by_group(sampler, two_cores, monkeypatch):
    threads = set()

    def watched(*given, **how):
        threads.add(threading.get_ident())
        return decode(*given, **how)

    monkeypatch.setattr(sampling, "decode", watched)
    in_lanes = texts(sampler.sample(PROMPTS, 2, max_tokens=20))
    assert threads and threading.get_ident() not in threads
    monkeypatch.setattr("nextkit.sampling.lanes.SMALL", 0)
    assert texts(sampler.sample(PROMPTS, 2, max_tokens=20)) == in_lanes and threading.get_ident() in threads


def test_all_cores_are_there_again_after_lanes(sampler, two_cores):
    import torch

    sampler.sample(PROMPTS, 2, max_tokens=2)
    assert torch.get_num_threads() == 2


def test_work_that_an_interrupt_finds_begun_is_given_up_and_the_rest_not_begun(sampler, two_cores):
    begun, heard = threading.Event(), []

    def wait(_):
        begun.set()
        heard.append(given_up.wait(60))

    with pytest.raises(KeyboardInterrupt), side_by_side(sampler.model(), 9) as (in_lanes, given_up):
        in_lanes(wait, range(9))
        assert begun.wait(60)
        raise KeyboardInterrupt
    assert heard and len(heard) <= 2 and all(heard)


def test_decoding_that_is_given_up_writes_no_further_token(sampler):
    asked = iter([False, False, True])
    written = decode(
        sampler.model(), [[5, 6, 7]], 2, temperature=0, max_tokens=9, seed=0, eos=[], given_up=lambda: next(asked)
    )
    assert [len(row) for row in written] == [2, 2]


def test_lanes_within_lanes_take_turns(sampler, two_cores):
    model = sampler.model()
    with side_by_side(model, 3) as (outer, _), side_by_side(model, 3) as (inner, _):
        assert outer is not map and inner is map


def test_lanes_that_failed_say_why(sampler, two_cores):
    with pytest.raises(ZeroDivisionError), side_by_side(sampler.model(), 3) as (in_lanes, _):
        [*in_lanes(lambda n: 1 / n, range(3))]
