"""For schemathesis: requests name a model that is there, since most names are no model's, and ask for
short answers. Every other one has a plain message, since few drawn ones are such as a model is asked, and no
beams, with which most other settings are refused: some are answered, whatever the seed."""

import schemathesis

NAMES = {"/v1/embeddings": "search", "/v1/audio": "ears"}


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict) and "model" in body:
        path = context.operation.path
        body["model"] = next((n for p, n in NAMES.items() if path.startswith(p)), "mini")
        for name in ("max_tokens", "max_completion_tokens"):
            if isinstance(body.get(name), int):
                body[name] = min(body[name], 8)
        if "messages" in body and len(body) % 2 == 0:
            body["messages"] = [{"role": "user", "content": "What is in this picture?"}]
            body.pop("num_beams", None)
    return body
