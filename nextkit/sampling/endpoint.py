"""Endpoints: sampling from any OpenAI-compatible server, such as vLLM, Ollama, llama.cpp or `transformers serve`.

    sampler = EndpointSampler("http://localhost:8000/v1", "Qwen/Qwen2.5-Coder-1.5B-Instruct", chat=True)
    samples = sampler.sample(prompts, n=32, temperature=0.8)

The server does the work; here is patience: requests run side by side, what fails for a reason that passes is asked
again, later each time, servers that return fewer answers than were asked for are asked for the rest, and answers that
came are kept, in memory and in `store`, when others do not come.

A server fills in what a request does not say from the model's generation_config.json, and so may draw otherwise than
LocalSampler does. What is said is temperature, top_p=1, max_tokens, seed; for the rest:

    vllm serve MODEL --generation-config vllm          # no top_k or repetition_penalty of the model's own
    transformers serve; EndpointSampler(..., extra=TRANSFORMERS_SERVE, concurrency=1)
    llama-server -m MODEL.gguf; EndpointSampler(..., extra=dict(top_k=0, min_p=0))    # else top_k is 40, min_p 0.05

`transformers serve` (5.24) draws nothing at random, whatever the temperature, where the model's file does not say
do_sample; it gives one answer a request, one after the other, and has one random state for all, so that a seed holds
only for requests made one at a time. Start it without --continuous-batching, which keeps the first request's settings.
"""

import json
import math
import os
import random
import re
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor, as_completed
from hashlib import sha256
from pathlib import Path

from nextkit.naturalize import count_tokens
from nextkit.prompting import messages, parse_completion
from nextkit.records import append_jsonl
from nextkit.sampling import Sample, as_texts, check_drawing, weights_of

PASSING = {408, 409, 425, 429, 500, 502, 503, 504}  # statuses that may be others the next time
LONGEST_WAIT = 60.0  # seconds between two tries
CONNECT = 5.0  # seconds until a server that does not take the connection counts as not there
# A real tokenizer may cut a text into more tokens than are counted here: on the shipped tasks, with their traces, one
# of 131 000 tokens (Mistral's tekken) made at most 1.18 times as many, 0.98 on average.
SAFETY = 1.25
# What `transformers serve` must be told so that the temperature counts, and nothing else.
TRANSFORMERS_SERVE = dict(generation_config=json.dumps(dict(do_sample=True, top_k=0, repetition_penalty=1.0)))


class EndpointError(RuntimeError):
    """A server that would not answer; says what it said, and what to do."""


class _TooManyAskedError(Exception):
    """A server that does not give so many answers to one request."""


class EndpointSampler:
    """A Sampler of an OpenAI-compatible server.

    url: its base, ending in /v1. model: the name that it serves. chat: whether prompts go to /chat/completions, where
    the server applies its chat template, or as plain text to /completions. stop: texts that end an answer. context:
    tokens that prompt and answer may have together; where it is given, prompts are shrunk to it. extra: further fields
    of each request, such as {"chat_template_kwargs": {"enable_thinking": False}} for a model on vLLM that would think to
    itself first. key: name of the environment variable that holds the API key. concurrency: requests at once. tries:
    of a request. timeout: seconds. store: a JSON Lines file for answers, read back when it is there. wait: seconds
    before the second try, doubled each time.

    An adapter is named by its folder and weights: the server is asked once to load it under that name (vLLM, started
    with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1), a new name for each round, and again if it
    forgot it. adapters: {folder: name} for those that the server knows already, such as a folder with the adapter
    merged in that `transformers serve` loads by name.
    """

    def __init__(
        self, url, model, *, chat=False, stop=(), context=None, extra=None, adapters=None, key="OPENAI_API_KEY",
        concurrency=16, tries=6, timeout=300.0, store=None, wait=1.0, progress=True,
    ):  # fmt: skip
        import httpx

        if not url.startswith(("http://", "https://")):
            raise ValueError(f"the url {url!r} of a server begins with http:// or https://")
        self.url, self.model, self.chat, self.key = url.rstrip("/"), model, chat, key
        self.stop, self.context, self.extra = as_texts(stop), context, dict(extra or {})
        self.concurrency, self.tries, self.wait, self.progress = concurrency, tries, wait, progress
        limits = httpx.Limits(max_connections=concurrency)
        self._client = httpx.Client(timeout=httpx.Timeout(timeout, connect=CONNECT), limits=limits)
        self._most = math.inf  # answers that one request may ask for, which a refusal tells
        self._reached = False  # whether the server has ever said anything
        self._served = {_folder(path): name for path, name in (adapters or {}).items()}
        self._loaded = {}  # name -> folder of each adapter that the server was asked to load
        self._answers, self._lock = _Answers(store), threading.Lock()

    def sample(self, prompts, n, *, temperature=0.8, max_tokens=256, seed=0, adapter=None):
        """n Samples for each Prompt, in order; temperature: 0 means greedy, and one answer is asked for and repeated.

        Raises EndpointError at once where no server answers, or it refuses, and where a prompt has no answer after all
        tries; answers that came are kept, and the same call asks only for the others. Then, and when it is interrupted,
        no further request is begun, and those under way are waited for.
        """
        check_drawing(n, temperature)
        how = dict(model=self._name(adapter), temperature=temperature, top_p=1.0, max_tokens=max_tokens, **self.extra)
        how |= dict(stop=list(self.stop)) if self.stop else {}
        drawn = n if temperature else 1
        jobs = [(prompt, drawn, how | dict(seed=seed + 1009 * number)) for number, prompt in enumerate(prompts)]
        answers = [row * (n // drawn) for row in self._ask_all(jobs)]
        if temperature:
            self._check_chance(answers)
        return [[_sample(prompt, one) for one in row] for prompt, row in zip(prompts, answers, strict=True)]

    @property
    def identity(self):
        """What its answers depend on, beside the arguments of sample(): part of a stage's key. The url may change."""
        return dict(served=self.model, stop=self.stop, extra=self.extra)

    def room(self, max_tokens, examples=0):
        """How long a prompt may be, as `length` counts, that is answered by so many tokens; None where not known.

        examples: how many solved ones stand in the prompt, each of which is two turns of a chat.
        """
        return self.context and self.context - max_tokens - (64 + 32 * examples if self.chat else 8)

    def length(self, text):
        """How many tokens a text has at most, estimated without the server's tokenizer: see SAFETY."""
        return math.ceil(SAFETY * count_tokens(text))

    def _check_chance(self, answers):
        """Warns where the answers to each prompt are the same ones though they were to be drawn."""
        alike = all(len({one["text"] for one in row}) == 1 for row in answers)
        if alike and sum(map(len, answers)) - len(answers) >= 7:  # fewer may be equal by chance
            warnings.warn(
                f"{self.url} gave the same answer each time: it seems to ignore the temperature, as `transformers serve` "
                "does for models whose generation_config.json does not say do_sample: give extra=TRANSFORMERS_SERVE, of "
                "nextkit.sampling.endpoint",
                stacklevel=3,
            )

    def _ask_all(self, jobs):
        """The answers to each job, in order; the first failure is raised, whichever job it is of."""
        from tqdm.auto import tqdm

        given_up = threading.Event()
        with ThreadPoolExecutor(self.concurrency) as pool:
            try:
                futures = [pool.submit(self._ask, *job, given_up) for job in jobs]
                bar = dict(desc="sampling", unit="prompt", total=len(futures), disable=not self.progress)
                for future in tqdm(as_completed(futures), **bar):
                    future.result()
            finally:
                given_up.set()  # before the pool waits for its threads, which may be in the midst of their tries
        return [future.result() for future in futures]

    def _ask(self, prompt, n, how, given_up):
        """n answers to one prompt, asking again for those that a server did not give."""
        key = sha256(json.dumps([self.url, self.chat, prompt.text, n, how], sort_keys=True).encode()).hexdigest()
        answers = self._answers.get(key)
        while len(answers) < n:
            asked = dict(n=min(n - len(answers), self._most), **how | dict(seed=how["seed"] + len(answers)))
            try:
                given = self._given(prompt, asked, given_up)[: asked["n"]]
            except _TooManyAskedError:
                self._most = min(self._most, asked["n"] // 2)
                continue
            self._answers.add(key, given)
            answers = [*answers, *given]
        return answers[:n]  # two processes that share a store may both have asked

    def _given(self, prompt, asked, given_up):
        """What one request gave: dicts with text, tokens and finish."""
        if self.chat:
            reply = self._post("/chat/completions", asked | dict(messages=messages(prompt)), given_up)
        else:
            reply = self._post("/completions", asked | dict(prompt=prompt.text), given_up)
        choices = reply["choices"]
        tokens = (reply.get("usage") or {}).get("completion_tokens")
        return [_answer(choice, tokens and tokens // len(choices), self.stop) for choice in choices]

    def _post(self, path, body, given_up):
        """The reply to one request that has choices; asked again where the failure may pass.

        given_up: an Event, after which nothing more is asked (EndpointError).
        """
        said = ""
        for number in range(self.tries):
            pause = min(LONGEST_WAIT, self.wait * 2 ** (number - 1)) * random.uniform(0.8, 1.2) if number else 0
            if given_up.wait(pause):
                raise EndpointError(f"{self.url}{path} was not asked to the end: the sampling was given up")
            said, reply = self._try(path, body)
            if reply is not None:
                return reply
        hint = (
            ". With chat=True the model needs a chat template; chat=False, or NEXTKIT_CHAT=0 in the notebooks, does without"
            if self.chat and "status 500" in said
            else ""
        )
        raise EndpointError(f"{self.url}{path} gave no answer in {self.tries} tries; the last: {said}{hint}")

    def _try(self, path, body):
        """("", reply), or (what went wrong, None). Raises EndpointError where it would go wrong again.

        And _TooManyAskedError where a refusal speaks of n: llama.cpp gives at most as many answers as it has slots.
        """
        import httpx

        try:
            response = self._send(path, body)
            if response.status_code == 404 and body["model"] in self._loaded:  # the server was started again
                response = self._ask_to_load(body["model"], self._loaded[body["model"]])
                if _is_loaded(response):
                    return f"the adapter {body['model']!r} had to be loaded again", None
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}", None
        if response.status_code in PASSING:
            return f"status {response.status_code}: {response.text[:200]}", None
        if response.status_code in (400, 422) and body["n"] > 1 and re.search(r"\bn\b", response.text):
            raise _TooManyAskedError
        if response.status_code != 200:
            mend = self._mend(response, body["model"])
            raise EndpointError(
                f"{self.url}{path} refuses: status {response.status_code}: {response.text[:300]}. {mend}"
            )
        try:
            reply = response.json()
            return ("", reply) if reply["choices"] else ("no choices in the reply", None)
        except (ValueError, KeyError, TypeError):
            return f"not the reply of an OpenAI-compatible server: {response.text[:200]}", None

    def _send(self, path, body):
        """The response to one request. Raises EndpointError where there has never been a server to answer."""
        import httpx

        try:
            response = self._client.post(self.url + path, json=body, headers=self._headers())
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if self._reached:  # it is being started again, perhaps
                raise
            port = httpx.URL(self.url).port or 80
            raise EndpointError(
                f"no server answers at {self.url} ({type(error).__name__} for POST {path}: {error}): check the url, or "
                f"start one, such as `vllm serve {self.model} --port {port}` or `transformers serve --port {port}`"
            ) from error
        self._reached = True
        return response

    def _mend(self, response, model):
        if response.status_code in (401, 403):
            return f"Set the environment variable {self.key} to a key that this server knows."
        if response.status_code == 404:
            return f"Check the url, which ends in /v1, and the model's name: {model!r}{self._names()}."
        return "Check what was asked for: model, max_tokens, n, extra; the prompt may be too long: see context."

    def _names(self):
        """The names that the server does know, where it tells them."""
        import httpx

        try:
            listed = self._client.get(f"{self.url}/models", headers=self._headers()).json()["data"]
            return f"; it serves {', '.join(repr(model['id']) for model in listed[:9])}" if listed else ""
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return ""

    def _headers(self):
        key = os.environ.get(self.key)
        return dict(Authorization=f"Bearer {key}") if key else {}

    def _name(self, adapter):
        """The name under which the server knows an adapter's folder; it is loaded when it is first named."""
        if adapter is None:
            return self.model
        folder = _folder(adapter)
        if folder in self._served:
            return self._served[folder]
        # Folders elsewhere may be called the same, and this one may be tuned anew.
        digest = sha256((folder + weights_of(folder)).encode()).hexdigest()[:8]
        name = f"{Path(folder).parent.name}-{Path(folder).name}-{digest}"
        with self._lock:
            if name not in self._loaded:
                self._load(name, folder)
                self._loaded[name] = folder
        return name

    def _ask_to_load(self, name, path):
        return self._send("/load_lora_adapter", dict(lora_name=name, lora_path=path))

    def _load(self, name, path):
        response = self._ask_to_load(name, path)
        if not _is_loaded(response):
            raise EndpointError(
                f"{self.url} does not load the adapter {path!r}: status {response.status_code}: {response.text[:200]}. "
                "vLLM does, started with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1; for another server, "
                f"nextkit.merge({path!r}, 'merged'), serve that folder, and give adapters={{{path!r}: its name}}"
            )


def _is_loaded(response):
    return response.status_code == 200 or "already" in response.text


def _folder(adapter):
    return str(Path(adapter).absolute())


class _Answers:
    """Answers by key, also in a file where one is named; a line that was cut short does not count."""

    def __init__(self, path):
        self.path, self.known, self.lock = path and Path(path), {}, threading.Lock()
        for line in self.path.read_text(encoding="utf-8").split("\n") if self.path and self.path.exists() else ():
            try:
                key, answers = json.loads(line)
            except (ValueError, TypeError):
                continue
            self.known.setdefault(key, []).extend(answers)

    def get(self, key):
        with self.lock:
            return list(self.known.get(key, ()))

    def add(self, key, answers):
        with self.lock:
            self.known.setdefault(key, []).extend(answers)
            if self.path:
                append_jsonl(self.path, [key, answers])


def _answer(choice, tokens, stop):
    """text, tokens and finish of a choice. Its text ends before the first text of stop: some servers keep that."""
    text = choice["message"].get("content") or "" if "message" in choice else choice.get("text") or ""
    finish = "length" if choice.get("finish_reason") == "length" else "stop"
    for mark in stop:
        text, found, _ = text.partition(mark)
        finish = "stop" if found else finish
    return dict(text=text, tokens=tokens or count_tokens(text), finish=finish)


def _sample(prompt, answer):
    parsed = parse_completion(answer["text"])
    return Sample(
        prompt.task_id, prompt.text, answer["text"], parsed.rationale, parsed.fix, answer["tokens"], answer["finish"]
    )
