"""Shared fixtures: a task that fits on a screen, and a tiny random model in Hugging Face layout."""

import pytest

from nextkit.sampling import Sample
from nextkit.sandbox import Sandbox
from nextkit.tasks import RepairTask


@pytest.fixture
def task():
    return RepairTask(
        "t/1",
        "Add one.",
        "def f(x):\n    return x - 1",
        ("assert f(1) == 2", "assert f(0) == 1"),
        ("assert f(7) == 8",),
        reference="def f(x):\n    return x + 1",
    )


@pytest.fixture
def sample():
    """sample(fix, task_id="t/1") -> a Sample with this fix."""
    return lambda fix, task_id="t/1": Sample(task_id, "prompt", fix, "because", fix, 5, "stop")


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox(timeout=1) as shared:
        yield shared


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of a random Llama of two layers with a tokenizer trained on a few lines."""
    import torch

    from nextkit.offline.pretraining import build_model
    from nextkit.offline.recipes import Shape
    from nextkit.offline.tokenizer import train_tokenizer

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = train_tokenizer(
        ["# Task: add\n# Buggy:\ndef f(x):\n    return x - 1\n# Why: no\n# Fix:\ndef f(x):\n"] * 9
    )
    build_model(Shape(32, 2, 2, 64), len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
