# %% [markdown]
# # A tour of Chiasm
# Every cell runs in a moment on a CPU with the small model that comes along, [chiasm-mini](../models/chiasm-mini/README.md).
# It is there to show the runtime: it knows little and errs, and what it says here is what came out. Another model
# is another name in `chiasm.load`.
#
# `python docs/gallery/make.py` writes this notebook from [gallery/tour.py](gallery/tour.py) and runs it.

# %%
import pathlib

import numpy as np

import chiasm

model = chiasm.load()
assets = pathlib.Path("assets")
photo, scene, sign = (assets / name for name in ("photo.png", "scene.png", "sign.png"))
print(f"{model.info.family}, {model.info.parameters / 1e6:.1f} million parameters, {model.info.dtype}")

# %% [markdown]
# ## Questions
# A path, bytes, a PIL image or an array; a list is one batch.

# %%
print(model.ask(photo, "What is in this picture?"))
print(model.ask([scene, sign], ["How many shapes are there?", "What does the sign say?"]))

# %% [markdown]
# An answer comes piece by piece, or whole with its tokens, their log-probabilities and where the time went.

# %%
said = [{"type": "image", "image": str(scene)}, {"type": "text", "text": "Describe the picture."}]
for piece in model.stream([{"role": "user", "content": said}]):
    print(piece, end="|")

# %%
out = model.answers([photo], "What is in this picture?", logprobs=3)[0]
for token in out.logprobs:
    rivals = ", ".join(f"{model.detokenize([i]).strip()} {np.exp(p):.0%}" for i, p in token.top[1:])
    print(f"{token.text.strip():10} {np.exp(token.logprob):6.1%}   else {rivals}")
out.usage

# %% [markdown]
# How sure is it of answers that we give?

# %%
animals = [" A photo of a cat.", " A photo of a frog.", " A photo of a ship."]
scores = model.score([{"role": "user", "content": [{"type": "image", "image": str(photo)},
                      {"type": "text", "text": "What is in this picture?"}]}], animals)
dict(zip(animals, np.round(scores, 1).tolist()))

# %% [markdown]
# ## What the model sees
# A model gets a picture as tiles, and a tile as tokens. This one takes it whole.

# %%
seen = model.tiles(photo)
print(seen.caption)
seen.draw(photo, longest=360)

# %% [markdown]
# What a request will take, before it runs:

# %%
plan = model.plan("What is this?", images=[photo])
print(f"{plan.tokens} tokens, {plan.image_tokens} of them for the picture; {plan.peak_bytes / 1e6:.0f} MB")

# %% [markdown]
# ## Where each word looked
# The attention of every token over the picture, averaged over layers and heads, and the part of it that the picture got.

# %%
told = model.explain(sign, "What does the sign say?")
print(told.result.text.strip())
told.draw(sign, side=112, columns=4, tokens=True)

# %%
told.attention.shape, told.heat().shape

# %% [markdown]
# ## Vectors
# Words and pictures in one space: the largest product of a row says which picture fits.

# %%
embedder = chiasm.load_embedder()
texts = ["a photo of a cat", "some drawn shapes", "a printed word"]
products = embedder.embed_text(texts) @ embedder.embed_image([photo, scene, sign]).T
for text, row in zip(texts, products):
    print(f"{text:20}", row.round(2), ["photo", "scene", "sign"][row.argmax()])

# %% [markdown]
# ## Underneath
# Everything on the way is an array, and equals what transformers computes: `chiasm verify` shows it.

# %%
{name: values.shape for name, values in model.preprocess_image(photo).items()} | {
    "features": model.encode_image(photo).shape,
    "logits": model.logits("A photo of").shape,
}
