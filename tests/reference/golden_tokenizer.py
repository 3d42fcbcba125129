"""Small byte-level BPE tokenizers for the random checkpoints, in the manner of SmolLM2 and Llama 3."""
import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

WORDS = [
    "The picture shows a red bicycle beside an old wall, and nobody is near it.",
    "What is this? How many people are there in the photograph?\n\n",
    "User: describe the image in detail.\n\nAssistant: there is a small house by the sea.\n\n",
    "Das Bild zeigt ein Fahrrad. L'image montre une maison près de la mer.\n\n",
    "그림에는 자전거가 있다. 12 3456 words, 7 lines; a value of 0.25 is near.\n\n",
    "Nothing in the world is as soft as water, yet nothing is better at wearing the hard away.\n",
]
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
                r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SMOLLM_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>"]
IMAGE_SPECIAL = (["<global-img>"] + [f"<row_{r}_col_{c}>" for r in range(1, 7) for c in range(1, 7)]
                 + ["<fake_token_around_image>", "<image>", "<end_of_utterance>"])
CHAT_TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}")


def special(text):
    return AddedToken(text, special=True, normalized=False)


def train(tokenizer, first, vocab):
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=first, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(WORDS, trainer)


def smollm(vocab=330, images=True):
    """SmolLM2's kind: single digits, GPT-2's pattern, no beginning-of-text token."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    t.decoder = decoders.ByteLevel()
    train(t, SMOLLM_SPECIAL, vocab)
    if images:
        t.add_special_tokens([special(s) for s in IMAGE_SPECIAL])
    return t


def llama3(vocab=340):
    """Llama 3's kind: its pattern, ignore_merges, a beginning-of-text token before everything."""
    t = Tokenizer(models.BPE(ignore_merges=True))
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3_SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    train(t, [], vocab)
    t.add_special_tokens([special(s) for s in ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]])
    t.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A",
        special_tokens=[("<|begin_of_text|>", t.token_to_id("<|begin_of_text|>"))])
    return t


def write(tokenizer, folder: pathlib.Path):
    """tokenizer.json and a tokenizer_config.json of the published folders' form."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    begin = "<|begin_of_text|>" if tokenizer.token_to_id("<|begin_of_text|>") else "<|im_start|>"
    end = "<|end_of_text|>" if tokenizer.token_to_id("<|end_of_text|>") else "<|im_end|>"
    has_images = tokenizer.token_to_id("<image>") is not None
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192,
        "bos_token": begin, "eos_token": "<end_of_utterance>" if has_images else end,
        "pad_token": end, "clean_up_tokenization_spaces": False,
    }
    if has_images:
        config["additional_special_tokens"] = ["<fake_token_around_image>", "<image>",
                                               "<end_of_utterance>"]
        config["chat_template"] = CHAT_TEMPLATE
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
