"""EndpointSampler against a real server: `transformers serve` with the shipped model, on this machine."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from nextkit.prompting import build_prompt
from nextkit.sampling import LocalSampler, load_tokenizer, resolve_model
from nextkit.sampling.endpoint import TRANSFORMERS_SERVE, EndpointError, EndpointSampler
from nextkit.tasks import DATA, load_tasks
from nextkit.tracing import trace

BASE = resolve_model("offline-base")
TURNS = "{% for m in messages %}{{ m.content }}{% endfor %}"  # a chat template that adds nothing
PATIENCE = 60  # seconds until the server is up


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address of a server that loads whatever model a request names. Skips where none comes up."""
    for needed in ("fastapi", "openai", "uvicorn"):
        pytest.importorskip(needed, reason=f"`transformers serve` needs {needed}: pip install -e .[dev]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log.txt"
    program = str(Path(sys.executable).parent / "transformers")
    command = [program, "serve", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--device", "cpu"]
    with log.open("w") as said:
        offline = os.environ | dict(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
        server = subprocess.Popen(command, stdout=said, stderr=said, env=offline)
    try:
        _wait(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


def _wait(server, health, log):
    for _ in range(PATIENCE * 4):
        if server.poll() is not None:
            pytest.skip(f"`transformers serve` ended: {log.read_text()[-300:]}")
        try:
            return httpx.get(health)
        except httpx.HTTPError:
            time.sleep(0.25)
    pytest.skip(f"`transformers serve` was not up after {PATIENCE} s")


@pytest.fixture(scope="module")
def prompts():
    return [build_prompt(task, trace(task)) for task in load_tasks(DATA / "tasks" / "dev.jsonl")[:2]]


@pytest.fixture(scope="module")
def chatty(tmp_path_factory):
    """A copy of the shipped model with a chat template."""
    folder = shutil.copytree(BASE, tmp_path_factory.mktemp("chatty") / "model")
    tokenizer = load_tokenizer(str(folder))
    tokenizer.chat_template = TURNS
    tokenizer.save_pretrained(folder)
    return str(folder)


def local(model, prompts):
    import torch

    return LocalSampler(model, device="cpu", dtype=torch.float32, progress=False).sample(prompts, 1, temperature=0)


def shown(rows):
    return [[(sample.text, sample.fix, sample.tokens, sample.finish) for sample in row] for row in rows]


def test_greedy_answers_are_those_of_the_local_sampler(url, prompts):
    found = EndpointSampler(url, BASE, progress=False).sample(prompts, 1, temperature=0)
    assert shown(found) == shown(local(BASE, prompts)) and all(row[0].fix.startswith("def ") for row in found)


def test_greedy_answers_of_a_chat_model_are_those_of_the_local_sampler(url, chatty, prompts):
    found = EndpointSampler(url, chatty, chat=True, progress=False).sample(prompts, 1, temperature=0)
    assert shown(found) == shown(local(chatty, prompts))


def test_n_answers_come_from_a_server_that_gives_one_a_request(url, prompts):
    drawn = EndpointSampler(url, BASE, extra=TRANSFORMERS_SERVE, concurrency=1, progress=False)
    (row,) = drawn.sample(prompts[:1], 8, temperature=1.0, max_tokens=24)
    assert len(row) == 8 and len({sample.text for sample in row}) > 1


def test_the_same_seed_draws_the_same_answers(url, prompts):
    def draw(seed):
        drawn = EndpointSampler(url, BASE, extra=TRANSFORMERS_SERVE, concurrency=1, progress=False)
        return shown(drawn.sample(prompts[:1], 4, temperature=1.0, max_tokens=16, seed=seed))

    assert draw(1) == draw(1) != draw(2)


def test_a_server_that_ignores_the_temperature_is_noticed(url, prompts):
    with pytest.warns(UserWarning, match="extra=TRANSFORMERS_SERVE"):
        EndpointSampler(url, BASE, progress=False).sample(prompts[:1], 8, temperature=2.0, max_tokens=4)


def test_an_answer_ends_at_a_stop_text(url, prompts):
    stopping = EndpointSampler(url, BASE, stop=["# Fix:"], progress=False)
    sample = stopping.sample(prompts[:1], 1, temperature=0)[0][0]
    assert "# Fix:" not in sample.text and sample.finish == "stop" and sample.tokens < 100


def test_a_chat_with_a_model_that_has_no_template_is_refused_with_the_mend(url, prompts):
    chat = EndpointSampler(url, BASE, chat=True, tries=1, progress=False)
    with pytest.raises(EndpointError, match="status 500.*needs a chat template"):
        chat.sample(prompts[:1], 1)


def test_a_field_that_the_server_does_not_know_is_named(url, prompts):
    with pytest.raises(EndpointError, match="refuses: status 422: .*top_k.*extra"):
        EndpointSampler(url, BASE, extra=dict(top_k=5), progress=False).sample(prompts[:1], 1)
