"""The offline models' tokenizer: byte-level BPE, of 1,024 tokens where nothing else is asked, trained on the corpus itself.

Numbers are cut into pieces of one or two digits, so that a value in the trace and in a rationale is written with the
same tokens; the marks of the prompt (`# Why:`, `# Fix:`) are tokens of their own.
"""

PAD, EOS = "<pad>", "<eos>"
VOCABULARY = 1024
_PIECES = (
    r"\n *(?:# Task: |# Buggy:|# Correct:|# Why:|# Fix:\n|assert )?| ?[A-Za-z_]+|\d{1,2}|  # \(| ?[^\sA-Za-z_\d]+ ?| +"
)


def train_tokenizer(texts, vocabulary=VOCABULARY, longest=640):
    """A PreTrainedTokenizerFast trained on the texts; any text survives encoding and decoding unchanged.

    longest: tokens that its model can read.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_PIECES), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, EOS],
        initial_alphabet=alphabet,
        min_frequency=3,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        clean_up_tokenization_spaces=False,
        model_max_length=longest,
    )
