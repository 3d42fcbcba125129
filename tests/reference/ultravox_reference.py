"""Ultravox in torch, written for these tests from its published config.json and model card: its own code
is no part of transformers and was not at hand, so goldens made with this prove the runtime equal to this
reading of it, not to that code.

What is meant by the config's keys: log-mel features of the sound without padding to 30 s, in windows of at
most that; Whisper's encoder over each window alone, positions from its beginning; `stack_factor` rows side
by side, zeros after the last; RMSNorm (`ln_pre`), `linear_1` to `hidden_size`, SwiGLU with the gate in the
second half, RMSNorm (`ln_mid`, where `projector_ln_mid`), `linear_2` to the decoder's width, else RMSNorm
(`ln_post`) after it. The rows stand where the prompt has its audio tokens.
"""

import json

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, WhisperConfig
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.whisper.modeling_whisper import WhisperEncoder

WINDOW = 3000  # frames


class Projector(nn.Module):
    def __init__(self, config, width, out):
        super().__init__()
        self.stacked, self.inside = config["stack_factor"], config["projector_ln_mid"]
        hidden = config["hidden_size"]
        self.ln_pre = LlamaRMSNorm(width * self.stacked, eps=1e-6)
        self.linear_1 = nn.Linear(width * self.stacked, hidden, bias=False)
        self.linear_2 = nn.Linear(hidden // 2, out, bias=False)
        if self.inside:
            self.ln_mid = LlamaRMSNorm(hidden // 2, eps=1e-6)
        else:
            self.ln_post = LlamaRMSNorm(out, eps=1e-6)

    def forward(self, x):  # [frames, width]
        x = F.pad(x, (0, 0, 0, -len(x) % self.stacked))
        x = self.linear_1(self.ln_pre(x.reshape(-1, x.shape[1] * self.stacked)))
        value, gate = x.chunk(2, dim=-1)
        x = value * F.silu(gate)
        if self.inside:
            return self.linear_2(self.ln_mid(x))
        return self.ln_post(self.linear_2(x))


class Ultravox(nn.Module):
    """`windows` of a call: features [bins, frames] of each window of each sound, in order."""

    def __init__(self, config):
        super().__init__()
        self.description = config
        audio = WhisperConfig(**config["audio_config"])
        audio._attn_implementation = "eager"
        text = LlamaConfig(**config["text_config"])
        text._attn_implementation = "eager"
        self.audio_tower, self.language_model = WhisperEncoder(audio), LlamaForCausalLM(text)
        self.multi_modal_projector = Projector(config, audio.d_model, text.hidden_size)
        self.config = text

    def get_input_embeddings(self):
        return self.language_model.get_input_embeddings()

    def encode(self, mel):
        tower = self.audio_tower
        x = F.gelu(tower.conv2(F.gelu(tower.conv1(mel[None])))).transpose(1, 2)
        x = x + tower.embed_positions.weight[: x.shape[1]]
        for layer in tower.layers:
            out = layer(x, None)
            x = out[0] if isinstance(out, tuple) else out
        return self.multi_modal_projector(tower.layer_norm(x)[0])

    def embed(self, input_ids, windows):
        x = self.get_input_embeddings()(input_ids)
        if len(windows):
            rows = torch.cat([self.encode(mel) for mel in windows])
            places = (input_ids[0] == self.description["audio_token_index"]).nonzero()[: len(rows), 0]
            x = x.index_copy(1, places, rows[None])  # an audio token that is generated is a word
        return x

    def forward(self, input_ids, windows=(), **more):
        more.pop("attention_mask", None)
        return self.language_model(inputs_embeds=self.embed(input_ids, windows), **more)

    def greedy(self, input_ids, windows, tokens, penalty=1.0):
        """The answer, and the smallest lead of a chosen token over the next."""
        ids, margin, cache = input_ids.clone(), float("inf"), None
        with torch.inference_mode():
            for _ in range(tokens):
                if cache is None:
                    out = self(ids, windows, use_cache=True)
                else:
                    out = self(ids[:, -1:], use_cache=True, past_key_values=cache)
                cache, logits = out.past_key_values, out.logits[0, -1]
                seen = torch.unique(ids)
                logits[seen] = torch.where(
                    logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty
                )
                top = logits.topk(2).values
                margin = min(margin, float(top[0] - top[1]))
                ids = torch.cat([ids, logits.argmax().reshape(1, 1)], 1)
        return ids[0, input_ids.shape[1] :].tolist(), margin

    def save(self, folder):
        tensors = {
            name: value.to(torch.bfloat16).contiguous() for name, value in self.state_dict().items()
        }
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(self.description, indent=1) + "\n")

    @staticmethod
    def load(folder):
        model = Ultravox(json.loads((folder / "config.json").read_text()))
        model.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
        return model
