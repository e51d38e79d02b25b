"""Reading: a phase's corpus as token ids on disk, with the weight of each token, and the batches it is read in.

Tokens weigh by what they decide: those of the prompt little, those of the rationale and of the lines that the fix
changes most, since the rest of a fix is a copy, which is learnt early.
"""

import hashlib
import pickle
import random
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from nextkit.offline.corpus import draw_corpus
from nextkit.parallel import cores
from nextkit.prompting import FIX, WHY
from nextkit.records import whole

TOGETHER = 1000  # documents that a processor tokenizes at once
DRAW = f"import pickle, sys; from {__name__} import write_phase; write_phase(*pickle.load(sys.stdin.buffer))"


def texts_of(settings, number, most=sys.maxsize):
    """The documents of a phase, or the first of them."""
    phase = settings.phases[number]
    return draw_corpus(min(phase.documents, most), seed_of(settings, number), phase.mixture)


def seed_of(settings, number):
    """The seed of a phase: of its corpus, and of the order in which it is read."""
    return settings.seed + 1000 * number


def phase_file(out, number, settings):
    """The file of a phase's corpus, tokenized: found, or made now, in a process of its own.

    It forks, which one that holds a GPU should not.
    """
    key = hashlib.sha256(repr((settings, (out / "tokenizer.json").read_text())).encode()).hexdigest()[:10]
    path = out / f"phase-{number}-{key}.npz"
    if not path.exists():
        ended = subprocess.run([sys.executable, "-c", DRAW], input=pickle.dumps((path, number, settings)))
        if ended.returncode:
            raise RuntimeError(f"the corpus of phase {number} was not made: exit status {ended.returncode}, see above")
    return path


def write_phase(path, number, settings):
    """Draw the corpus of a phase, tokenize it on all cores, and write it to `path`."""
    import numpy as np

    texts = texts_of(settings, number)
    chunks = [texts[first : first + TOGETHER] for first in range(0, len(texts), TOGETHER)]
    with ProcessPoolExecutor(cores()) as pool:
        encoded = pool.map(partial(_encode, path.parent, settings), chunks)
        ids, weights = zip(*(pair for pairs in encoded for pair in pairs), strict=True)
    lengths = np.array([len(each) for each in ids])
    with whole(path) as partial_file, partial_file.open("wb") as file:
        np.savez(file, ids=np.concatenate(ids), weights=np.concatenate(weights), lengths=lengths)


def load_phase(path):
    """Pairs (token ids, weight of each token in the loss), an array each."""
    import numpy as np

    stored = np.load(path)
    ends = stored["lengths"].cumsum()[:-1]
    return list(zip(np.split(stored["ids"], ends), np.split(stored["weights"], ends), strict=True))


def _encode(folder, settings, texts):
    """The pairs of some documents, the end mark included; too long documents are left out."""
    import numpy as np
    from transformers import AutoTokenizer

    tokenizer, pairs = AutoTokenizer.from_pretrained(folder), []
    encoded = tokenizer(texts, return_offsets_mapping=True)
    for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        if len(ids) < settings.longest:
            weights = _weights(text, settings)
            weights = [*(weights[start] for start, _ in offsets), 1.0]
            pairs.append((np.array([*ids, tokenizer.eos_token_id], np.uint16), np.array(weights, np.float32)))
    return pairs


def _weights(text, settings):
    """The weight of each character; a document without an answer weighs 1 throughout."""
    prompt, mark, answer = text.partition(f"\n{WHY}")
    rationale, fix_mark, fix = answer.partition(FIX)
    if not fix_mark:
        return [1.0] * len(text)
    weights = [settings.prompt_weight] * len(prompt + mark) + [settings.edit_weight] * len(rationale + fix_mark)
    known = {line.split("  # ")[0] for line in prompt.split("\n")}
    for line in fix.splitlines(keepends=True):
        weights += [1.0 if line.rstrip("\n") in known else settings.edit_weight] * len(line)
    return weights


def plan_batches(sequences, tokens, batch_tokens, seed):
    """Batches of sequence numbers, of similar length within a batch, until `tokens` are spent."""
    rng, plan, spent = random.Random(seed), [], 0
    while spent < tokens:
        order = list(range(len(sequences)))
        rng.shuffle(order)
        batches = []
        for start in range(0, len(order), 2000):
            batches += _by_length(order[start : start + 2000], sequences, batch_tokens)
        rng.shuffle(batches)
        for batch in batches:
            if spent >= tokens:
                break
            plan.append(batch)
            spent += sum(len(sequences[i][0]) for i in batch)
    return plan


def _by_length(numbers, sequences, batch_tokens):
    batches, current = [], []
    for number in sorted(numbers, key=lambda i: len(sequences[i][0])):
        current.append(number)
        if len(current) * len(sequences[number][0]) >= batch_tokens:
            batches.append(current)
            current = []
    return [*batches, current] if current else batches


def padded(batch):
    """(token ids, weights) of a batch as tensors of shape (sequences, longest), filled up with 0."""
    import torch

    longest = max(len(ids) for ids, _ in batch)
    ids, weights = torch.zeros(len(batch), longest, dtype=torch.long), torch.zeros(len(batch), longest)
    for row, (sequence, weight) in enumerate(batch):
        ids[row, : len(sequence)] = torch.from_numpy(sequence.astype("int64"))
        weights[row, : len(sequence)] = torch.from_numpy(weight)
    return ids, weights
