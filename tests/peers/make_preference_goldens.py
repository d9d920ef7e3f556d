"""Writes host/trainer/tests/golden/preference: what TRL makes of preference rows.

Run with a Python that has trl 1.16, transformers 5, tokenizers, datasets and pyarrow:

    python tests/peers/make_preference_goldens.py

It makes small tokenizers of the families' shapes, asks DPOTrainer's own data preparation and collator for the
tokens of every row, and writes rows and tokens. The rows are also written as Parquet tables.
"""

import datetime
import json
import logging
import shutil
import types
from pathlib import Path

import pyarrow
import pyarrow.parquet
import transformers.utils.chat_template_utils as chat_template_utils
from datasets import Dataset, disable_progress_bars
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer
from trl import DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "host/trainer/tests/golden/preference"
SENTIMENT = ROOT / "host/trainer/assets/sentiment/base"

# What strftime_now is asked at: 2026-03-14 15:09:26.
NOW = datetime.datetime(2026, 3, 14, 15, 9, 26)

CORPUS = [
    "The sky is blue, and the sea is green. It is what it is; isn't it?",
    "What color is the sky? What colour is the sea? Tell me about the moon and the sun.",
    "I am a helpful assistant. You are a curious user. We're talking about the weather, don't you think?",
    "Naïve café owners say: fünf Äpfel kosten 3,50 €. Größe, straße, señor, mañana.",
    "def add(a, b):\n    return a + b\n\nprint(add(12, 345))\n",
    "日本語のテキスト と 中文文本. Привет, мир! 🙂🙃 👩‍🚀",
    "system user assistant tool model human: answer question 0123456789 10 20 2026",
] * 4


# ---- tokenizers -----------------------------------------------------------------------------------------------------

CHATML = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n" }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nBe helpful.<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(last=messages|length - 1) %}
{%- for message in messages %}
    {%- if message.role == "user" or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set content = message.content if message.content is string else '' %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is defined and message.reasoning_content is not none %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' }}
        {%- if reasoning and loop.index0 == ns.last %}
            {{- '<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' }}
        {%- endif %}
        {%- generation %}
        {{- content }}
        {%- for tool_call in message.tool_calls or [] %}
            {%- if tool_call.function %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
        {%- endgeneration %}
    {%- elif message.role == "tool" %}
        {%- if loop.first or messages[loop.index0 - 1].role != "tool" %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != "tool" %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""

INST = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}"
    "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
)

HEADERS = """\
{{- bos_token }}
{%- if date_string is not defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- set system_message = "" %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{% for message in messages %}
    {%- if message.role not in ['user', 'assistant', 'tool'] %}
        {{- raise_exception("unknown role " ~ message.role) }}
    {%- endif %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {%- if message.content is iterable and message.content is not string %}
        {%- for part in message.content if part.type == 'text' %}
            {{- part.text | trim }}{{ ' ' if not loop.last }}
        {%- endfor %}
    {%- else %}
        {{- message['content'] | trim }}
    {%- endif %}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

TURNS = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for message in messages %}"
    "{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)


def byte_level(special, vocabulary=450):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def sentence_pieces(special):
    """Byte-pair encoding with byte fallback, as SentencePiece's models are converted."""
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=special + bytes_, limit_alphabet=90, show_progress=False
    )
    # Words apart, as SentencePiece would have them.
    tokenizer.train_from_iterator([word for line in CORPUS for word in line.split(" ")], trainer)
    description = json.loads(tokenizer.to_str())
    description["added_tokens"] = [token for token in description["added_tokens"] if token["content"] in special]
    tokenizer = Tokenizer.from_str(json.dumps(description))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def begin_with(tokenizer, token):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{token} $A", pair=f"{token} $A {token} $B", special_tokens=[(token, tokenizer.token_to_id(token))]
    )


def save(name, tokenizer, tokenizer_config, config=None, chat_template=None, special_tokens_map=None):
    folder = OUT / "tokenizers" / name
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False))
    files = {
        "tokenizer_config.json": tokenizer_config,
        "config.json": config,
        "special_tokens_map.json": special_tokens_map,
    }
    for file, content in files.items():
        if content is not None:
            (folder / file).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    if chat_template is not None:
        (folder / "chat_template.jinja").write_text(chat_template)


def make_tokenizers():
    # Nothing said: the end of text is GPT-2's.
    save("gpt2", byte_level(["<|endoftext|>"]), {"model_max_length": 1024}, {"model_type": "gpt2"})

    llama = sentence_pieces(["<unk>", "<s>", "</s>"])
    begin_with(llama, "<s>")
    token = lambda text: {"__type": "AddedToken", "content": text, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    save(
        "llama",
        llama,
        {
            "add_bos_token": True,
            "add_eos_token": False,
            "bos_token": token("<s>"),
            "eos_token": token("</s>"),
            "unk_token": token("<unk>"),
            "legacy": False,
            "tokenizer_class": "LlamaTokenizer",
            "chat_template": INST,
        },
        {"model_type": "llama"},
    )
    # The same without a class: tokenizer.json alone says what happens.
    save(
        "llama-as-written",
        llama,
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "chat_template": INST},
        {"model_type": "llama"},
    )
    save(
        "llama-legacy",
        llama,
        {"tokenizer_class": "LlamaTokenizerFast", "legacy": True, "chat_template": [{"name": "default", "template": INST}]},
        {"model_type": "llama"},
    )

    # Mistral's family has no class of its own: whatever is named, and however old it says it is.
    for name, legacy in [("mistral", {}), ("mistral-legacy", {"legacy": True}), ("mistral-newer", {"legacy": False})]:
        config = {"bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "LlamaTokenizer", "chat_template": INST}
        save(name, llama, config | legacy, {"model_type": "mistral"})
    digits = byte_level(["<s>", "</s>"])
    digits.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    save(
        "mistral-bytes",
        digits,
        {"bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "GPT2Tokenizer", "chat_template": INST},
        {"model_type": "mistral"},
    )

    chatml = byte_level(["<|endoftext|>"])
    chatml.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    chatml.add_tokens([AddedToken("<think>", normalized=False), AddedToken("</think>", normalized=False)])
    save(
        "chatml",
        chatml,
        {
            "added_tokens_decoder": {
                str(id): token.__getstate__() for id, token in chatml.get_added_tokens_decoder().items()
            },
            "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
            "bos_token": None,
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "tokenizer_class": "Qwen2Tokenizer",
        },
        {"model_type": "qwen2"},
        chat_template=CHATML,
    )

    headers = byte_level(["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"])
    begin_with(headers, "<|begin_of_text|>")
    save(
        "headers",
        headers,
        {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": HEADERS},
        {"model_type": "llama"},
        special_tokens_map={
            "bos_token": {"content": "<|begin_of_text|>", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False},
            "eos_token": "<|eot_id|>",
        },
    )

    turns = sentence_pieces(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"])
    begin_with(turns, "<bos>")
    save(
        "turns",
        turns,
        {"tokenizer_class": "GemmaTokenizer", "chat_template": TURNS},
        {"model_type": "gemma2"},
    )

    # Its end is in the vocabulary, but the tokenizer is not told that it is special; it begins and ends texts.
    bare = byte_level(["[CLS]", "[END]"])
    bare.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [END]", special_tokens=[("[CLS]", 0), ("[END]", 1)]
    )
    description = json.loads(bare.to_str())
    description["added_tokens"] = []
    bare = Tokenizer.from_str(json.dumps(description))
    bare.enable_truncation(7)
    bare.enable_padding(length=9, pad_token="[END]", pad_id=1)
    save("bare", bare, {}, {"model_type": "llama"}, special_tokens_map={"eos_token": "[END]"})


# ---- rows -----------------------------------------------------------------------------------------------------------


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


LONG = " ".join(f"the sea is {number} and green" for number in range(12))

TEXTS = [
    {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
    {"prompt": "The sky is ", "chosen": "blue.", "rejected": "green."},
    {"prompt": "The sk", "chosen": "y is blue", "rejected": "irt is green"},
    {"prompt": "What color is the sky?\n", "chosen": "\nblue", "rejected": "\n\ngreen"},
    {"prompt": "Naïve café: ", "chosen": "fünf Äpfel", "rejected": "señor, mañana"},
    {"prompt": "日本語", "chosen": "のテキスト 🙂", "rejected": "中文文本 👩‍🚀"},
    {"prompt": "e\u0301 and \ufb01", "chosen": " e\u0301t\u00e9", "rejected": " \ufb01ne"},
    {"prompt": "", "chosen": "blue", "rejected": "green"},
    {"prompt": "", "chosen": "the sky", "rejected": "the sea"},
    {"prompt": "What is it?", "chosen": "", "rejected": " It is."},
    {"prompt": "What is it?", "chosen": "", "rejected": ""},
    {"prompt": "Count:", "chosen": " 10 20 2026", "rejected": " 0123456789"},
    {"prompt": "Say </s> or <|endoftext|> or [END] or <eos>", "chosen": " <|im_end|> <s>", "rejected": " <think>hm</think>"},
    {"prompt": "End.", "chosen": " blue</s>", "rejected": " green</s>"},
    {"prompt": "End.", "chosen": " blue<|endoftext|>", "rejected": " green<|im_end|>"},
    {"prompt": "End.", "chosen": " blue[END]", "rejected": " green<eos>"},
    {"prompt": "Same", "chosen": " same", "rejected": " same"},
    {"prompt": "\t tab \u00a0 space  ", "chosen": "  two", "rejected": "\u3000wide"},
    {"prompt": LONG, "chosen": " blue", "rejected": " " + LONG},
    {"prompt": "Tell me about the moon.", "chosen": " " + LONG, "rejected": " It's what it is."},
    {"prompt": "Extra columns", "chosen": " are", "rejected": " ignored", "score": 3.5, "source": "here"},
    {"prompt": "control \u0000\u0007 characters", "chosen": " \u001b", "rejected": " \u007f"},
]

TEXTS_WITHOUT_PROMPT = [
    {"chosen": "The sky is blue.", "rejected": "The sky is green."},
    {"chosen": "Human: What?\n\nAssistant: blue", "rejected": "Human: What?\n\nAssistant: green"},
    {"chosen": "The sky is blue", "rejected": "The sky is blue and green"},
    {"chosen": "The sky is blue and green", "rejected": "The sky is blue"},
    {"chosen": "The same", "rejected": "The same"},
    {"chosen": "blue", "rejected": "green"},
    {"chosen": "日本語のテキスト", "rejected": "日本文本"},
    {"chosen": "say  two", "rejected": "say  too"},
    {"chosen": "a  b", "rejected": "a  c"},
    {"chosen": "x", "rejected": "xyz"},
]

TOOLS = [
    {"type": "function", "function": {"name": "add", "description": "a < b & \"c\" — é", "parameters": {"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "number", "minimum": 0.5}}}}}
]

CONVERSATIONS = [
    {"prompt": [user("What color is the sky?")], "chosen": [assistant("It is blue.")], "rejected": [assistant("It is green.")]},
    {"prompt": [system("Be curious."), user("  What?  ")], "chosen": [assistant(" blue ")], "rejected": [assistant("\ngreen\n")]},
    {"prompt": [user("a"), assistant("b"), user("c")], "chosen": [assistant("d")], "rejected": [assistant("e")]},
    {"prompt": [user("a")], "chosen": [assistant("b"), user("c"), assistant("d")], "rejected": [assistant("b"), user("e"), assistant("f")]},
    {"prompt": [user("日本語 🙂")], "chosen": [assistant("テキスト")], "rejected": [assistant("café, naïve")]},
    {"prompt": [user("inject <|im_end|> </s> <|eot_id|> <end_of_turn>")], "chosen": [assistant("<|im_start|>")], "rejected": [assistant("[INST]")]},
    {"prompt": [user("why?")], "chosen": [assistant("so", reasoning_content="because\n")], "rejected": [assistant("no", thinking="hm")]},
    {"prompt": [user("why?")], "chosen": [assistant("<think>\nbecause\n</think>\n\nso")], "rejected": [assistant("no")]},
    {"prompt": [user("why?")], "chosen": [assistant("so")], "rejected": [assistant("no")], "chat_template_kwargs": {"enable_thinking": False, "date_string": "1 Jan 1970"}},
    {"prompt": [user("add")], "chosen": [assistant("3")], "rejected": [assistant("4")], "tools": json.dumps(TOOLS, ensure_ascii=False)},
    {"prompt": [system("s"), user("add")], "chosen": [assistant("3")], "rejected": [assistant("4")], "tools": json.dumps(TOOLS)},
    {"prompt": [user("add")], "chosen": [assistant(None, tool_calls=[{"type": "function", "function": {"name": "add", "arguments": {"a": 1, "b": 2.0}}}])], "rejected": [assistant("4")]},
    {"prompt": [user("add"), assistant(""), {"role": "tool", "content": "3"}, {"role": "tool", "content": "4"}], "chosen": [assistant("it is 3")], "rejected": [assistant("it is 4")]},
    {"prompt": [user([{"type": "text", "text": " parts "}, {"type": "text", "text": "of text"}])], "chosen": [assistant([{"type": "text", "text": "yes"}])], "rejected": [assistant([{"type": "text", "text": "no"}])]},
    {"prompt": [user(LONG)], "chosen": [assistant("blue")], "rejected": [assistant(LONG)]},
    {"prompt": [{"role": "narrator", "content": "once"}], "chosen": [assistant("upon")], "rejected": [assistant("a time")]},
    {"prompt": [user("a"), user("b")], "chosen": [assistant("c")], "rejected": [assistant("d")]},
    {"prompt": [user("")], "chosen": [assistant("")], "rejected": [assistant("x")]},
    {"prompt": [user("a"), assistant("The sky")], "chosen": [assistant(" is blue")], "rejected": [assistant(" is green")]},
]

CONVERSATIONS_WITHOUT_PROMPT = [
    {"chosen": [user("What?"), assistant("blue")], "rejected": [user("What?"), assistant("green")]},
    {"chosen": [system("s"), user("a"), assistant("b"), user("c"), assistant("d")], "rejected": [system("s"), user("a"), assistant("b"), user("c"), assistant("e")]},
    {"chosen": [user("a"), assistant("b"), user("c"), assistant("d")], "rejected": [user("a"), assistant("e")]},
    {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("b")]},
    {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("b"), user("c"), assistant("d")]},
    {"chosen": [user("a"), assistant("b")], "rejected": [user("c"), assistant("d")]},
]

TOKENS = [
    {"prompt_ids": [1, 2, 3], "chosen_ids": [4, 5], "rejected_ids": [6]},
    {"prompt_ids": [7], "chosen_ids": list(range(40, 60)), "rejected_ids": list(range(90, 140))},
    {"prompt_ids": list(range(20, 60)), "chosen_ids": [1], "rejected_ids": [2, 3]},
    {"prompt_ids": [], "chosen_ids": [8, 9], "rejected_ids": [10, 11, 12]},
]

KINDS = {
    "texts": TEXTS,
    "texts-without-prompt": TEXTS_WITHOUT_PROMPT,
    "conversations": CONVERSATIONS,
    "conversations-without-prompt": CONVERSATIONS_WITHOUT_PROMPT,
    "tokens": TOKENS,
}

LIMITS = [(24, "keep_start"), (24, "keep_end")]


# ---- TRL ------------------------------------------------------------------------------------------------------------


def prepared(tokenizer, row, max_length, truncation_mode):
    """The row's ids, as DPOTrainer would hand them to its collator; nothing if it drops the row."""
    trainer = types.SimpleNamespace(_tokenizer=tokenizer)
    arguments = types.SimpleNamespace(dataset_num_proc=None, max_length=max_length, truncation_mode=truncation_mode)
    dataset = DPOTrainer._prepare_dataset(trainer, Dataset.from_list([row]), tokenizer, arguments, "golden")
    rows = [{name: row[name] for name in ("prompt_ids", "chosen_ids", "rejected_ids")} for row in dataset]
    return rows[0] if rows else None


def collated(row, max_length, truncation_mode):
    """Both sequences and which of their tokens are scored."""
    collator = DataCollatorForPreference(pad_token_id=0, max_length=max_length, truncation_mode=truncation_mode)
    batch = collator([row])
    sequences = []
    for side in range(2):
        length = int(batch["attention_mask"][side].sum())
        ids = batch["input_ids"][side][:length].tolist()
        # The loss shifts: a first token is predicted by nothing.
        n_scored = int(batch["completion_mask"][side][1:length].sum())
        sequences.append({"ids": ids, "n_scored": n_scored})
    return sequences


def expected(tokenizer, row):
    try:
        ids = row if "prompt_ids" in row else prepared(tokenizer, row, None, "keep_start")
        limited = []
        for max_length, mode in LIMITS:
            kept = ids
            if "prompt_ids" not in row:
                kept = prepared(tokenizer, row, max_length, mode)
            elif mode == "keep_start" and len(row["prompt_ids"]) >= max_length:
                kept = None  # the filter of _prepare_dataset
            limited.append(None if kept is None else collated(kept, max_length, mode))
        return {"ids": [ids["prompt_ids"], ids["chosen_ids"], ids["rejected_ids"]], "limited": limited}
    except Exception as error:  # noqa: BLE001 (whatever TRL says, it is an answer)
        return {"error": type(error).__name__}


class Now(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


def main():
    disable_progress_bars()
    logging.disable(logging.WARNING)
    chat_template_utils.datetime = Now
    shutil.rmtree(OUT, ignore_errors=True)
    make_tokenizers()
    for kind, rows in KINDS.items():
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (OUT / f"{kind}.jsonl").write_text(lines)
    folders = {folder.name: folder for folder in sorted((OUT / "tokenizers").iterdir())} | {"sentiment": SENTIMENT}
    results = {}
    for name, folder in folders.items():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        results[name] = {
            "class": type(tokenizer).__name__,
            "n_vocabulary": len(tokenizer),
            "eos_token": tokenizer.eos_token,
            "kinds": {kind: [expected(tokenizer, row) for row in rows] for kind, rows in KINDS.items()},
        }
        counts = {kind: sum("error" in row for row in rows) for kind, rows in results[name]["kinds"].items()}
        print(name, results[name]["class"], len(tokenizer), repr(tokenizer.eos_token), "errors:", counts)
    text = json.dumps({"limits": LIMITS, "tokenizers": results}, separators=(",", ":"))
    (OUT / "expected.json").write_text(text + "\n")
    write_tables()


def write_tables():
    """Tables with the compressions that are in use; the conversations without what columns cannot hold."""
    tables = {"texts": (TEXTS[:20], "snappy"), "texts-without-prompt": (TEXTS_WITHOUT_PROMPT, "zstd"), "tokens": (TOKENS, "gzip")}
    plain = [
        row for row in CONVERSATIONS_WITHOUT_PROMPT
        if all(set(message) == {"role", "content"} for side in row.values() for message in side)
    ]
    tables["conversations-without-prompt"] = (plain, "lz4")
    tables["conversations"] = (CONVERSATIONS[:7], "brotli")
    for kind, (rows, compression) in tables.items():
        table = pyarrow.Table.from_pylist(rows)
        pyarrow.parquet.write_table(table, OUT / f"{kind}.parquet", compression=compression, row_group_size=3)


if __name__ == "__main__":
    main()
