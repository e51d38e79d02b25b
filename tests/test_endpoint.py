"""EndpointSampler, against a server on this machine that behaves, or does not."""

import json
import signal
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nextkit import notebook
from nextkit.prompting import Prompt, build_prompt
from nextkit.sampling import LocalSampler
from nextkit.sampling.endpoint import EndpointError, EndpointSampler
from nextkit.tracing import trace

PROMPTS = [Prompt("t/1", "one"), Prompt("t/2", "two")]
ANSWER = " because\n# Fix:\ndef f(): pass"


def interrupt():
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


class Server:
    """Answers with ANSWER; `plan` lists what the first requests get instead, `after` what is called after their replies.

    most: answers to a request.
    """

    def __init__(self):
        self.plan, self.after, self.asked, self.lock, self.most = [], [], [], threading.Lock(), None
        self.connections, self.text = 0, ANSWER
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                outer.connections += 1

            def do_POST(self):
                outer.answer(self)

            def do_GET(self):
                outer.send(self, 200, json.dumps(dict(data=[dict(id="large")])))

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def answer(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self.lock:
            self.asked.append((handler.path, body, handler.headers.get("Authorization")))
            planned = self.plan.pop(0) if self.plan else None
            after = self.after.pop(0) if self.after else None
        if planned == "cut":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{")
            handler.close_connection = True
        else:
            self.send(handler, *(planned or (200, json.dumps(self.reply(handler.path, body)))))
        if after:
            after()

    def send(self, handler, status, text):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(text.encode())))
        handler.end_headers()
        handler.wfile.write(text.encode())

    def reply(self, path, body):
        if "chat" in path:
            choice = dict(message=dict(content=self.text), finish_reason="stop")
        else:
            choice = dict(text=self.text, finish_reason="length" if body.get("max_tokens") == 1 else "stop")
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
    assert body == dict(model="tiny", prompt="one", n=2, temperature=0.3, top_p=1.0, max_tokens=9, seed=5)


def test_further_fields_are_sent_as_given(server):
    EndpointSampler(server.url, "tiny", extra=dict(top_k=-1), progress=False).sample(PROMPTS[:1], 1)
    assert server.asked[0][1]["top_k"] == -1


def test_a_chat_model_is_asked_by_messages(server):
    chat = EndpointSampler(server.url, "tiny", chat=True, progress=False)
    assert chat.sample(PROMPTS[:1], 1)[0][0].fix == "def f(): pass"
    assert server.asked[0][1]["messages"] == [dict(role="user", content="one")]


def test_an_answer_that_was_cut_off_says_so(sampler):
    assert sampler.sample(PROMPTS[:1], 1, max_tokens=1)[0][0].finish == "length"


def test_a_server_that_refuses_n_is_asked_for_fewer_at_once(server, sampler):
    refused = 400, '{"error": {"message": "Field \'n\': Value must be between 1 <= value <= 4, but got 6"}}'
    server.plan = [refused]
    assert len(sampler.sample(PROMPTS[:1], 6)[0]) == 6
    assert [body["n"] for _, body, _ in server.asked] == [6, 3, 3]


def test_a_refusal_that_lasts_when_one_answer_is_asked_for_is_said(server, sampler):
    server.plan = [(400, "n is out of range")] * 3
    with pytest.raises(EndpointError, match="refuses: status 400: n is out of range"):
        sampler.sample(PROMPTS[:1], 4)
    assert [body["n"] for _, body, _ in server.asked] == [4, 2, 1]


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
    [
        (401, "Set the environment variable OPENAI_API_KEY"),
        (404, "the model's name: 'tiny'; it serves 'large'"),
        (400, "max_tokens"),
    ],
)
def test_a_refusal_is_final_and_names_the_mend(server, sampler, status, mend):
    server.plan = [(status, "no")]
    with pytest.raises(EndpointError, match=mend):
        sampler.sample(PROMPTS[:1], 1)
    assert len(server.asked) == 1


def test_no_server_is_said_at_once_with_the_mend():
    nobody = EndpointSampler("http://127.0.0.1:9/v1", "tiny", wait=1000, progress=False)
    with pytest.raises(EndpointError, match="no server answers at http://127.0.0.1:9/v1 .*vllm serve tiny --port 9"):
        nobody.sample(PROMPTS, 1)


def test_a_server_that_goes_away_for_a_while_is_waited_for(server, sampler):
    sampler.sample(PROMPTS[:1], 1)
    server.http.shutdown()
    server.http.server_close()
    server.plan = ["cut"]  # the connection that is still open
    with pytest.raises(EndpointError, match="no answer in 4 tries; the last: ConnectError"):
        sampler.sample(PROMPTS[1:], 1)


def test_a_url_without_a_scheme_is_named():
    with pytest.raises(ValueError, match="'localhost:8000/v1' of a server begins with http://"):
        EndpointSampler("localhost:8000/v1", "tiny")


def test_requests_share_connections(server, sampler):
    sampler.sample(PROMPTS * 5, 1)
    assert len(server.asked) == 10 and server.connections <= sampler.concurrency


def test_a_greedy_answer_is_asked_for_once_and_repeated(server, sampler):
    server.most = 1
    assert [len(row) for row in sampler.sample(PROMPTS, 3, temperature=0)] == [3, 3]
    assert [body["n"] for _, body, _ in server.asked] == [1, 1]


def test_a_server_that_ignores_the_temperature_is_named_with_the_mend(sampler):
    with pytest.warns(UserWarning, match="seems to ignore the temperature.*extra=TRANSFORMERS_SERVE"):
        sampler.sample(PROMPTS, 8)


def test_an_answer_ends_before_a_stop_text_that_the_server_is_told(server):
    server.text = " because\n# Fix:\nx = 1\n# Task: y = 2"
    stopping = EndpointSampler(server.url, "tiny", stop=["y =", "# Task"], progress=False)
    sample = stopping.sample(PROMPTS[:1], 1, max_tokens=1)[0][0]
    assert (sample.fix, sample.finish, server.asked[0][1]["stop"]) == ("x = 1", "stop", ["y =", "# Task"])


def test_a_prompt_has_the_room_that_the_answer_leaves_of_the_context():
    assert EndpointSampler("http://127.0.0.1:9/v1", "tiny", context=100).room(max_tokens=20) == 72
    assert EndpointSampler("http://127.0.0.1:9/v1", "tiny").room(max_tokens=20) is None


def test_a_prompt_is_shrunk_to_the_context(task):
    loop = "def f(x):\n    for i in range(30):\n        x += i\n    return x"
    traced = trace(replace(task, buggy=loop))
    small = EndpointSampler("http://127.0.0.1:9/v1", "tiny", context=200)
    how = dict(room=small.room(max_tokens=50), length=small.length)
    shrunk = build_prompt(task, traced, **how).text
    assert small.length(shrunk) <= how["room"] < small.length(build_prompt(task, traced).text)


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


def test_an_answer_stored_after_a_line_that_was_cut_short_is_kept(server, tmp_path):
    (tmp_path / "a.jsonl").write_text('["cut sho')
    for _ in range(2):
        EndpointSampler(server.url, "tiny", progress=False, store=tmp_path / "a.jsonl").sample(PROMPTS, 1)
    assert len(server.asked) == len(PROMPTS)


def test_a_store_into_which_two_have_asked_the_same_gives_no_more_than_was_asked_for(server, tmp_path):
    how = dict(progress=False, store=tmp_path / "a.jsonl")
    one, other = (EndpointSampler(server.url, "tiny", **how) for _ in range(2))
    other.sample(PROMPTS, 1)  # before this one reads the store again
    one.sample(PROMPTS, 1)
    third = EndpointSampler(server.url, "tiny", **how)
    assert [len(row) for row in third.sample(PROMPTS, 1)] == [1, 1]


def test_half_a_surrogate_pair_is_stored_as_it_came(server, tmp_path):
    server.text = " a \ud83d\n# Fix:\nx = 1"
    for _ in range(2):
        sampler = EndpointSampler(server.url, "tiny", progress=False, store=tmp_path / "a.jsonl")
        assert sampler.sample(PROMPTS[:1], 1)[0][0].text == server.text
    assert len(server.asked) == 1


def test_a_refused_prompt_ends_the_waits_of_the_others(server):
    patient = EndpointSampler(server.url, "tiny", wait=50, concurrency=2, progress=False)
    server.plan = [(503, "later"), (400, "no")]
    start = time.monotonic()
    with pytest.raises(EndpointError, match="refuses: status 400"):
        patient.sample(PROMPTS, 1)
    assert time.monotonic() - start < 20 and len(server.asked) == 2


def test_an_interrupt_ends_the_waits_of_all(server):
    patient = EndpointSampler(server.url, "tiny", wait=50, concurrency=2, progress=False)
    server.plan, server.after = [(503, "later")] * 2, [None, interrupt]
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        patient.sample(PROMPTS * 3, 1)
    assert time.monotonic() - start < 20 and len(server.asked) == 2


def test_an_adapter_is_loaded_once_under_a_name_of_its_own(server, sampler):
    for folder in ("runs/adapter-1-ab/adapter", "runs/adapter-2-cd/adapter", "runs/adapter-1-ab/adapter"):
        sampler.sample(PROMPTS[:1], 1, adapter=folder)
    loads = [body["lora_name"] for path, body, _ in server.asked if "load_lora" in path]
    assert [name.rpartition("-")[0] for name in loads] == ["adapter-1-ab-adapter", "adapter-2-cd-adapter"]
    assert next(body["model"] for path, body, _ in server.asked if path == "/v1/completions") == loads[0]


def test_an_adapter_that_was_tuned_anew_is_loaded_anew(server, sampler, tmp_path):
    for weights in (b"old", b"old", b"new"):
        (tmp_path / "adapter_model.safetensors").write_bytes(weights)
        sampler.sample(PROMPTS[:1], 1, adapter=tmp_path)
    assert len({body["lora_name"] for path, body, _ in server.asked if "load_lora" in path}) == 2
    assert len({body["model"] for path, body, _ in server.asked if path == "/v1/completions"}) == 2


def test_an_adapter_that_the_server_forgot_is_loaded_again(server, sampler):
    sampler.sample(PROMPTS[:1], 1, adapter="runs/a/adapter")
    server.plan = [(404, "model not found")]
    assert sampler.sample(PROMPTS[:1], 1, adapter="runs/a/adapter", seed=1)[0][0].fix == "def f(): pass"
    assert [path for path, _, _ in server.asked].count("/v1/load_lora_adapter") == 2


def test_folders_of_the_same_name_are_adapters_of_their_own(server, sampler):
    for folder in ("/a/x/adapter", "/b/x/adapter"):
        sampler.sample(PROMPTS[:1], 1, adapter=folder)
    names = [body["lora_name"] for path, body, _ in server.asked if "load_lora" in path]
    assert len(set(names)) == 2 and all(name.startswith("x-adapter-") for name in names)


def test_a_server_that_loads_no_adapters_is_named_with_the_mend(server, sampler):
    server.plan = [(404, "no such route")]
    with pytest.raises(EndpointError, match="does not load the adapter.*--enable-lora"):
        sampler.sample(PROMPTS[:1], 1, adapter="runs/adapter-1-ab/adapter")


def test_an_adapter_that_the_server_knows_is_not_loaded(server):
    known = EndpointSampler(server.url, "tiny", adapters={"runs/a/adapter": "merged"}, progress=False)
    known.sample(PROMPTS[:1], 1, adapter=str(Path("runs/a/adapter").absolute()))
    assert [(path, body["model"]) for path, body, _ in server.asked] == [("/v1/completions", "merged")]


@pytest.mark.parametrize("chat", [True, False])
def test_notebooks_sample_from_the_server_that_their_model_names(server, monkeypatch, chat):
    for name, value in zip(("SERVER", "MODEL"), notebook.server_and_model(f"{server.url}#Qwen/tiny"), strict=True):
        monkeypatch.setattr(notebook, name, value)
    monkeypatch.setattr(notebook, "CHAT", chat)
    notebook.sampler(progress=False).sample(PROMPTS[:1], 1)
    path, body, _ = server.asked[0]
    assert (path, body["model"]) == ("/v1/chat/completions" if chat else "/v1/completions", "Qwen/tiny")


def test_notebooks_sample_here_from_a_model_that_is_here(tiny_model, monkeypatch):
    monkeypatch.setattr(notebook, "MODEL", tiny_model)
    local = notebook.sampler(progress=False, stop=["#"])
    assert isinstance(local, LocalSampler) and (local.path, local.stop) == (tiny_model, ("#",))


def test_a_server_that_notebooks_are_given_without_a_model_is_named_with_the_mend():
    with pytest.raises(ValueError, match="names no model of the server: write http://localhost:8000/v1#name"):
        notebook.server_and_model("http://localhost:8000/v1")


def test_a_failure_that_passes_while_an_adapter_is_loaded_again_is_tried_again(server, sampler):
    sampler.sample(PROMPTS[:1], 1, adapter="runs/a/adapter")
    server.plan = [(404, "model not found"), (503, "not yet"), (404, "model not found")]
    assert sampler.sample(PROMPTS[:1], 1, adapter="runs/a/adapter", seed=1)[0][0].fix == "def f(): pass"
