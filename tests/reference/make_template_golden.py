"""Renders conversations with several styles of chat template by transformers, for tests of ours.

Writes tests/golden/templates/cases.json: {"templates": {name: source}, "conversations": {name: ...},
"rendered": [{"template", "conversation", "add_generation_prompt", "text" or "error"}], "chat_ids": {model: "id id ..."}, ...}.
Run with transformers 5.23: python tests/reference/make_template_golden.py
"""

import copy
import json
import pathlib

import transformers
from PIL import Image
from transformers.utils.chat_template_utils import render_jinja_template

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
OUT = GOLDEN / "templates" / "cases.json"
VISION_MODELS = ("smolvlm_2x2", "smolvlm_side25", "idefics3_3x3", "idefics3_side29")
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}

TEMPLATES = {
    "chatml": """{% for message in messages %}
{% if loop.first and message.role != 'system' %}
{{ '<|im_start|>system\\nBe helpful.<|im_end|>\\n' }}
{% endif %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{% endif %}""",
    "llama3": """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}""",
    "smolvlm": """<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}\
{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}\
{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}\
{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>
{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}""",
    "mistral": """{{ bos_token }}{% for message in messages %}
{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Roles must alternate user/assistant/user/assistant/...') }}
{%- endif %}
{%- if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}
{%- else %}{{ ' ' + message['content'] + eos_token }}{% endif %}
{%- endfor %}""",
    "reasoning": """{%- macro show(content) %}
{%- if content is string %}{{ content }}{% else %}
{%- for item in content %}{% if 'image' in item or item.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in item %}{{ item.text }}{% endif %}{% endfor %}
{%- endif %}
{%- endmacro %}
{%- set ns = namespace(last=messages | length - 1, seen=false) %}
{%- for message in messages[::-1] %}
    {%- if not ns.seen and message.role == 'user' %}
        {%- set ns.last = messages | length - 1 - loop.index0 %}{% set ns.seen = true %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
{%- set content = show(message.content) %}
{%- if message.role == 'assistant' %}
    {%- set thoughts = message.reasoning_content or '' %}
    {%- if '</think>' in content %}
        {%- set thoughts = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
<|im_start|>assistant
    {%- generation %}
    {%- if loop.index0 > ns.last and thoughts %}{{ '\\n<think>\\n' + thoughts.strip('\\n') + '\\n</think>\\n' }}{% endif %}
    {{- '\\n' + content + '<|im_end|>\\n' }}
    {%- endgeneration %}
{%- else %}
{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}""",
    "loops_and_json": """{% set count = namespace(words=0) %}
{%- for message in messages -%}
    {%- if message.role == 'skip' %}{% continue %}{% endif -%}
    {%- set count.words = count.words + message.content | string | length %}
[{{ loop.index }}] {{ message | tojson }} {{ message.content | tojson(indent=2) }}
    {%- if loop.index > 2 %}{% break %}{% endif %}
{%- endfor %}
total {{ count.words }} {{ dict(a=1, b=[1, 2.5]) | tojson }} {{ dict.fromkeys(['x']) }} {{ tools is none }}
{%- if pad_token is defined %} pad {{ pad_token }}{% endif %}{{ unk_token }}""",
}

PICTURE = {"type": "image"}


def text(words):
    return {"type": "text", "text": words}


CONVERSATIONS = {
    "hello": [{"role": "user", "content": "Hello <there> & \"you\" 'all'"}],
    "turns": [
        {"role": "system", "content": "  Be short.\n"},
        {"role": "user", "content": " 안녕 👋🏽\n\nwhat is 1 < 2? "},
        {"role": "assistant", "content": "<think>\nhm, 1 < 2\n</think>\n\nTrue."},
        {"role": "user", "content": "and\ttabs?\n"},
    ],
    "alternating": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ],
    "pictures": [
        {"role": "system", "content": [text("You see.")]},
        {
            "role": "user",
            "content": [PICTURE, text("What is this?"), PICTURE, text(" And this?\n")],
        },
        {"role": "assistant", "content": [text("A cat. ")]},
        {"role": "user", "content": [text("Sure?"), PICTURE]},
    ],
    "reasoned": [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a", "reasoning": "because"},
    ],
    "skipped": [
        {"role": "skip", "content": "x"},
        {"role": "user", "content": "one", "name": None},
        {"role": "user", "content": "two"},
        {"role": "user", "content": "three"},
    ],
    "empty": [{"role": "user", "content": ""}],
}


# Signs that structure has, but no structure text: our ids must be transformers' own.
CHAT = [
    {"role": "system", "content": [text("Be < good [x] 안녕")]},
    {
        "role": "user",
        "content": [
            {"type": "image", "image": "wide.png"},
            text(" What <is> this|>?  "),
            {"type": "image", "image": "dot.png"},
            text("and</that>"),
        ],
    },
    {"role": "assistant", "content": [text("A cat\n")]},
    {"role": "user", "content": [text("sure?")]},
]


def chat_ids(name):
    """Token ids of CHAT by the processor of a small checkpoint (see make_golden.py)."""
    chat = copy.deepcopy(CHAT)
    for item in chat[1]["content"]:
        if item["type"] == "image":
            item["image"] = Image.open(GOLDEN / "models" / "pictures" / item["image"])
    processor = transformers.AutoProcessor.from_pretrained(GOLDEN / "models" / name)
    out = processor.apply_chat_template(
        chat, tokenize=True, add_generation_prompt=True, return_dict=True
    )
    return " ".join(str(int(id)) for id in out["input_ids"][0])


def render(template, conversation, add_generation_prompt):
    chat = [{k: v for k, v in m.items() if v is not None} for m in copy.deepcopy(conversation)]
    try:
        rendered, _ = render_jinja_template(
            conversations=[chat],
            chat_template=template,
            add_generation_prompt=add_generation_prompt,
            **TOKENS,
        )
        return {"text": rendered[0]}
    except Exception as e:
        return {"error": str(e)}


def main():
    rendered = [
        {"template": t, "conversation": c, "add_generation_prompt": add}
        | render(TEMPLATES[t], CONVERSATIONS[c], add)
        for t in TEMPLATES
        for c in CONVERSATIONS
        for add in (False, True)
    ]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "transformers": transformers.__version__,
        "tokens": TOKENS,
        "templates": TEMPLATES,
        "conversations": CONVERSATIONS,
        "rendered": rendered,
        "chat": CHAT,
        "chat_ids": {name: chat_ids(name) for name in VISION_MODELS},
    }
    OUT.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"{OUT.name}: {len(rendered)} renderings, {sum('error' in r for r in rendered)} refused")


if __name__ == "__main__":
    main()
