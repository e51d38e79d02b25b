"""EndpointSampler, against a server on this machine that behaves, or does not."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nextkit.endpoint import EndpointError, EndpointSampler
from nextkit.prompting import Prompt

PROMPTS = [Prompt("t/1", "one"), Prompt("t/2", "two")]
ANSWER = " because\n# Fix:\ndef f(): pass"


class Server:
    """Answers with ANSWER and a running number; `plan` lists what the first requests get instead."""

    def __init__(self):
        self.plan, self.asked, self.lock, self.most = [], [], threading.Lock(), None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def answer(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            self.asked.append((handler.path, body, handler.headers.get("Authorization")))
            planned = self.plan.pop(0) if self.plan else None
        if planned == "cut":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{")
            return handler.connection.close()
        status, text = planned or (200, json.dumps(self.reply(handler.path, body)))
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(text.encode())))
        handler.end_headers()
        return handler.wfile.write(text.encode())

    def reply(self, path, body):
        if "chat" in path:
            choice = dict(message=dict(content=ANSWER), finish_reason="stop")
        else:
            choice = dict(text=ANSWER, finish_reason="length" if body.get("max_tokens") == 1 else "stop")
        count = min(body.get("n", 1), self.most or 99)
        return dict(choices=[choice] * count, usage=dict(completion_tokens=7 * count))


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def sampler(server):
    return EndpointSampler(server.url, "tiny", wait=0.01, tries=4, concurrency=2, progress=False)


def test_every_prompt_gets_its_samples_in_order(sampler):
    rows = sampler.sample(PROMPTS, 3)
    assert [[s.task_id for s in row] for row in rows] == [["t/1"] * 3, ["t/2"] * 3]
    assert (rows[0][0].rationale, rows[0][0].fix, rows[0][0].tokens) == ("because", "def f(): pass", 7)


def test_what_is_asked_is_what_was_said(server, sampler):
    sampler.sample(PROMPTS[:1], 2, temperature=0.3, max_tokens=9, seed=5)
    path, body, _ = server.asked[0]
    assert path == "/v1/completions"
    assert body == dict(model="tiny", prompt="one", n=2, temperature=0.3, max_tokens=9, seed=5)


def test_a_chat_model_is_asked_by_messages(server):
    chat = EndpointSampler(server.url, "tiny", chat=True, progress=False)
    assert chat.sample(PROMPTS[:1], 1)[0][0].fix == "def f(): pass"
    assert server.asked[0][1]["messages"] == [dict(role="user", content="one")]


def test_an_answer_that_was_cut_off_says_so(sampler):
    assert sampler.sample(PROMPTS[:1], 1, max_tokens=1)[0][0].finish == "length"


def test_a_server_that_ignores_n_is_asked_again(server, sampler):
    server.most = 1
    assert len(sampler.sample(PROMPTS[:1], 3)[0]) == 3
    assert [body["n"] for _, body, _ in server.asked] == [3, 2, 1]
    assert len({body["seed"] for _, body, _ in server.asked}) == 3


@pytest.mark.parametrize(
    "trouble",
    [(429, "slow down"), (500, "oops"), (503, ""), "cut", (200, "not json"), (200, "{}"), (200, '{"choices": []}')],
)
def test_trouble_that_may_pass_is_waited_out(server, sampler, trouble):
    server.plan = [trouble, trouble]
    assert len(sampler.sample(PROMPTS[:1], 2)[0]) == 2 and len(server.asked) == 3


def test_trouble_that_stays_ends_after_the_tries_with_what_the_server_said(server, sampler):
    server.plan = [(500, "out of memory")] * 9
    with pytest.raises(EndpointError, match="no answer in 4 tries; the last: status 500: out of memory"):
        sampler.sample(PROMPTS[:1], 1)


@pytest.mark.parametrize(
    "status, mend",
    [(401, "Set the environment variable OPENAI_API_KEY"), (404, "the model's name: 'tiny'"), (400, "max_tokens")],
)
def test_a_refusal_is_final_and_names_the_mend(server, sampler, status, mend):
    server.plan = [(status, "no")]
    with pytest.raises(EndpointError, match=mend):
        sampler.sample(PROMPTS[:1], 1)
    assert len(server.asked) == 1


def test_no_server_is_said_in_a_sentence():
    nobody = EndpointSampler("http://127.0.0.1:9/v1", "tiny", tries=2, wait=0.01, progress=False)
    with pytest.raises(
        EndpointError, match="http://127.0.0.1:9/v1/completions gave no answer in 2 tries; the last: ConnectError"
    ):
        nobody.sample(PROMPTS[:1], 1)


def test_the_key_comes_from_the_environment(server, sampler, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    sampler.sample(PROMPTS[:1], 1)
    assert server.asked[0][2] == "Bearer secret"


def test_answers_that_came_are_kept_when_others_do_not(server, tmp_path):
    def make():
        return EndpointSampler(server.url, "tiny", tries=1, concurrency=1, progress=False, store=tmp_path / "a.jsonl")

    server.plan = [None, (500, "later")]
    with pytest.raises(EndpointError):
        make().sample(PROMPTS, 2)
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('["cut sho')
    assert len(make().sample(PROMPTS, 2)) == 2
    assert [body["prompt"] for _, body, _ in server.asked] == ["one", "two", "two"]


def test_an_adapter_is_loaded_once_under_a_name_of_its_own(server, sampler):
    for folder in ("runs/adapter-1-ab/adapter", "runs/adapter-2-cd/adapter", "runs/adapter-1-ab/adapter"):
        sampler.sample(PROMPTS[:1], 1, adapter=folder)
    loads = [body["lora_name"] for path, body, _ in server.asked if "load_lora" in path]
    assert loads == ["adapter-1-ab-adapter", "adapter-2-cd-adapter"]
    assert next(body["model"] for path, body, _ in server.asked if path == "/v1/completions") == "adapter-1-ab-adapter"


def test_a_server_that_loads_no_adapters_is_named_with_the_mend(server, sampler):
    server.plan = [(404, "no such route")]
    with pytest.raises(EndpointError, match="does not load the adapter.*--enable-lora"):
        sampler.sample(PROMPTS[:1], 1, adapter="runs/adapter-1-ab/adapter")
