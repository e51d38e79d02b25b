"""Endpoints: sampling from any OpenAI-compatible server, such as vLLM, Ollama, llama.cpp or `transformers serve`.

    sampler = EndpointSampler("http://localhost:8000/v1", "Qwen/Qwen2.5-Coder-1.5B-Instruct", chat=True)
    samples = sampler.sample(prompts, n=32, temperature=0.8)

The server does the work; here is patience: requests run side by side, what fails for a reason that passes is asked
again, later each time, servers that return fewer answers than were asked for are asked for the rest, and answers that
came are kept, in memory and in `store`, when others do not come.
"""

import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from nextkit.naturalize import count_tokens
from nextkit.prompting import messages, parse_completion
from nextkit.sampling import Sample

PASSING = {408, 409, 425, 429, 500, 502, 503, 504}  # statuses that may be others the next time
LONGEST_WAIT = 60.0  # seconds between two tries


class EndpointError(RuntimeError):
    """A server that would not answer; says what it said, and what to do."""


class EndpointSampler:
    """A Sampler of an OpenAI-compatible server.

    url: its base, ending in /v1. model: the name that it serves. chat: whether prompts go to /chat/completions, where
    the server applies its chat template, or as plain text to /completions. key: name of the environment variable that
    holds the API key. concurrency: requests at once. tries: of a request. timeout: seconds. store: a JSON Lines file
    for answers, read back when it is there. wait: seconds before the second try, doubled each time.

    An adapter is named by its folder: the server is asked once to load it under that name (vLLM, started with
    VLLM_ALLOW_RUNTIME_LORA_UPDATING=1), a new name for each round.
    """

    def __init__(
        self, url, model, *, chat=False, key="OPENAI_API_KEY", concurrency=16, tries=6, timeout=300.0, store=None,
        wait=1.0, progress=True,
    ):  # fmt: skip
        self.url, self.model, self.chat, self.key = url.rstrip("/"), model, chat, key
        self.concurrency, self.tries, self.timeout, self.wait, self.progress = (
            concurrency,
            tries,
            timeout,
            wait,
            progress,
        )
        self._answers, self._adapters, self._lock = _Answers(store), {None: model}, threading.Lock()

    def sample(self, prompts, n, *, temperature=0.8, max_tokens=256, seed=0, adapter=None):
        """n Samples for each Prompt, in order. Raises EndpointError where a prompt has no answer after all tries; those
        that came are kept, and the same call asks only for the others."""
        from tqdm.auto import tqdm

        how = dict(model=self._name(adapter), temperature=temperature, max_tokens=max_tokens)
        jobs = [(prompt, n, how | dict(seed=seed + 1009 * number)) for number, prompt in enumerate(prompts)]
        with ThreadPoolExecutor(self.concurrency) as pool:
            futures = [pool.submit(self._ask, *job) for job in jobs]
            try:
                bar = tqdm(futures, desc="sampling", unit="prompt", disable=not self.progress)
                return [[_sample(prompt, one) for one in f.result()] for prompt, f in zip(prompts, bar, strict=True)]
            except BaseException:
                for future in futures:
                    future.cancel()
                raise

    def _ask(self, prompt, n, how):
        """n answers to one prompt, asking again for those that a server did not give."""
        key = sha256(json.dumps([self.url, self.chat, prompt.text, n, how], sort_keys=True).encode()).hexdigest()
        answers = self._answers.get(key)
        while len(answers) < n:
            asked = dict(n=n - len(answers), **how | dict(seed=how["seed"] + len(answers)))
            given = self._given(prompt, asked)[: asked["n"]]
            self._answers.add(key, given)
            answers = [*answers, *given]
        return answers

    def _given(self, prompt, asked):
        """What one request gave: dicts with text, tokens and finish."""
        if self.chat:
            reply = self._post("/chat/completions", asked | dict(messages=messages(prompt)))
        else:
            reply = self._post("/completions", asked | dict(prompt=prompt.text))
        choices = reply["choices"]
        tokens = (reply.get("usage") or {}).get("completion_tokens")
        return [_answer(choice, tokens and tokens // len(choices)) for choice in choices]

    def _post(self, path, body):
        """The reply to one request that has choices; asked again where the failure may pass."""
        said = ""
        for number in range(self.tries):
            if number:
                time.sleep(min(LONGEST_WAIT, self.wait * 2 ** (number - 1)) * random.uniform(0.8, 1.2))
            said, reply = self._try(path, body)
            if reply is not None:
                return reply
        raise EndpointError(f"{self.url}{path} gave no answer in {self.tries} tries; the last: {said}")

    def _try(self, path, body):
        """("", reply), or (what went wrong, None). Raises EndpointError where it would go wrong again."""
        import httpx

        try:
            response = httpx.post(self.url + path, json=body, headers=self._headers(), timeout=self.timeout)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}", None
        if response.status_code in PASSING:
            return f"status {response.status_code}: {response.text[:200]}", None
        if response.status_code != 200:
            raise EndpointError(
                f"{self.url}{path} refuses: status {response.status_code}: {response.text[:300]}. {self._mend(response)}"
            )
        try:
            reply = response.json()
            return ("", reply) if reply["choices"] else ("no choices in the reply", None)
        except (ValueError, KeyError, TypeError):
            return f"not the reply of an OpenAI-compatible server: {response.text[:200]}", None

    def _mend(self, response):
        if response.status_code in (401, 403):
            return f"Set the environment variable {self.key} to a key that this server knows."
        if response.status_code == 404:
            return f"Check the url, which ends in /v1, and the model's name: {self.model!r}."
        return "Check what was asked for: model, max_tokens, n."

    def _headers(self):
        key = os.environ.get(self.key)
        return dict(Authorization=f"Bearer {key}") if key else {}

    def _name(self, adapter):
        """The name under which the server knows an adapter's folder; it is loaded when it is first named."""
        with self._lock:
            if adapter not in self._adapters:
                name = f"{Path(adapter).parent.name}-{Path(adapter).name}"
                self._load(name, str(Path(adapter).absolute()))
                self._adapters[adapter] = name
            return self._adapters[adapter]

    def _load(self, name, path):
        import httpx

        body = dict(lora_name=name, lora_path=path)
        response = httpx.post(f"{self.url}/load_lora_adapter", json=body, headers=self._headers(), timeout=self.timeout)
        if response.status_code != 200 and "already" not in response.text:
            raise EndpointError(
                f"{self.url} does not load the adapter {name!r}: status {response.status_code}: {response.text[:200]}. "
                "vLLM does, started with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1; with another server, merge it"
            )


class _Answers:
    """Answers by key, also in a file where one is named; a line that was cut short does not count."""

    def __init__(self, path):
        self.path, self.known, self.lock = path and Path(path), {}, threading.Lock()
        for line in self.path.read_text(encoding="utf-8").splitlines() if self.path and self.path.exists() else ():
            try:
                key, answers = json.loads(line)
            except ValueError:
                continue
            self.known.setdefault(key, []).extend(answers)

    def get(self, key):
        with self.lock:
            return list(self.known.get(key, ()))

    def add(self, key, answers):
        with self.lock:
            self.known.setdefault(key, []).extend(answers)
            if self.path:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([key, answers]) + "\n")


def _answer(choice, tokens):
    text = choice["message"].get("content") or "" if "message" in choice else choice.get("text") or ""
    finish = "length" if choice.get("finish_reason") == "length" else "stop"
    return dict(text=text, tokens=tokens or count_tokens(text), finish=finish)


def _sample(prompt, answer):
    parsed = parse_completion(answer["text"])
    return Sample(
        prompt.task_id, prompt.text, answer["text"], parsed.rationale, parsed.fix, answer["tokens"], answer["finish"]
    )
