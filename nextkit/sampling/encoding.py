"""Encoding: how a prompt becomes token ids, plainly or as turns of a chat by the model's own template."""

from nextkit.prompting import messages


def has_chat_template(tokenizer):
    """Whether the model says how it is talked to."""
    return bool(getattr(tokenizer, "chat_template", None))


def encode_prompt(tokenizer, prompt, chat):
    """The token ids of a Prompt; chat: as turns, by the tokenizer's own template, up to where the answer begins."""
    if not chat:
        ids = tokenizer(prompt.text)["input_ids"]
        return ids[:-1] if ids[-1:] == [tokenizer.eos_token_id] else ids  # some tokenizers end whatever they read
    turns = messages(prompt)
    system = turns[0]["content"] if turns[0]["role"] == "system" else ""
    try:
        text = _templated(tokenizer, turns)
        heard = system.strip() in text
    except Exception:  # templates are programs: some know no system turn and raise an error of their own
        if not system:
            raise
        heard = False
    if not heard:  # others leave it out in silence
        first, second, *rest = turns
        text = _templated(tokenizer, [dict(second, content=f"{first['content']}\n\n{second['content']}"), *rest])
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _templated(tokenizer, turns):
    """The turns as the template writes them, asked not to have the model think first: the rationale is its thinking."""
    try:
        return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    except Exception as error:
        raise ValueError(f"the chat template of {tokenizer.name_or_path!r} fails: {error}: try chat=False") from error
