"""Second stage: tower, decoder and search head together, on questions about every picture."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network.mini import Mini
from ..network.name_heads import NameHeads
from ..network.patch_heads import PatchHeads, RowHeads
from ..pictures.mixture import TO_ASK, validation_pictures
from ..pictures.palette import COLOURS
from ..pictures.photos import Photos
from ..pictures.sample import IGNORE
from ..pictures.shapes import SHAPE_NAMES
from ..questions.phrasing import plural
from ..tokenizer import SPACE, Tokenizer
from .batches import BatchShape, Steps, normalise, stream
from .conversations import FIRST_ROW, Conversations, JointBatch, attention_mask
from .patch_loss import name_loss, patch_loss
from .pointing import READING_HEAD, READING_LAYER, WORDS_LAYER, Pointing
from .quick_check import QuickCheck
from .vision_stage import ENDLESS

PATCH_WEIGHT = 0.5  # of the first stage's losses, which go on helping
NAME_WEIGHT = 0.3
POINT_WEIGHT = 0.2
SEARCH_WEIGHT = 0.15
TOWER_RATE = 0.2
VALIDATED = {"photo": 200, "scene": 160, "text": 80, "chart": 40, "display": 20}


class JointModel(nn.Module):
    """The model, the patch heads of the first stage, and heads on the decoder's rows."""

    def __init__(self, names: dict[str, list[int]]):
        super().__init__()
        self.mini = Mini()
        config = self.mini.config
        self.heads = PatchHeads(config.vision.hidden_size)
        self.row_heads = RowHeads(config.text.hidden_size)
        self.name_heads = NameHeads(names)


def names_of_labels(tokenizer: Tokenizer) -> dict[str, list[int]]:
    """The token of every word that names a label of `shape` or `colour`."""
    shapes = [*SHAPE_NAMES, "bar"]
    words = {"shape": shapes, "shapes": map(plural, shapes), "colour": COLOURS}
    return {kind: [tokenizer.token_to_id(SPACE + word) for word in of_kind] for kind, of_kind in words.items()}


class JointStage:
    """What the loop needs to know of this stage."""

    name = "joint"
    heads_alone = 0  # steps left in which the patch losses reach only the heads

    @staticmethod
    def rate_of(parameter: str) -> float:
        """The tower comes trained: at the full rate answers would make it forget how to see letters."""
        return TOWER_RATE if "vision_model." in parameter else 1.0

    def __init__(
        self,
        photos: Photos,
        shape: BatchShape,
        seed: int,
        workers: int,
        device: str,
        tokenizer: Tokenizer,
    ):
        names = names_of_labels(tokenizer)
        self.model = JointModel(names).to(device)
        layers = self.model.mini.model.text_model.layers
        self.pointing = Pointing(layers[WORDS_LAYER].self_attn, names, FIRST_ROW)
        self.reading = Pointing(layers[READING_LAYER].self_attn, {}, FIRST_ROW)
        self.conversations = Conversations(tokenizer, shape.labelled)
        self.steps = Steps(photos, shape, seed, TO_ASK, self.conversations.collate)
        self.workers, self.device = workers, device
        held_out = [
            sample
            for kind, count in VALIDATED.items()
            for sample in validation_pictures(photos, kind, count)
        ]
        self.check = QuickCheck(self.conversations, held_out)

    def start_from_vision(self, path: Path) -> None:
        """Takes the tower and the patch heads of a finished first stage."""
        saved = torch.load(path, weights_only=True, map_location="cpu")["model"]
        parts = {"vision_model": self.model.mini.model.vision_model, "heads": self.model.heads}
        for name, module in parts.items():
            module.load_state_dict(
                {
                    key.removeprefix(f"{name}."): value
                    for key, value in saved.items()
                    if key.startswith(f"{name}.")
                }
            )

    def batches(self, first: int):
        """The batches from step `first` on."""
        return stream(self.steps, first, ENDLESS, self.workers)

    def loss(self, batch: JointBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Answers, patches and search together; returns the sum and its parts by name."""
        batch = batch.to(self.device)
        mini = self.model.mini
        with torch.autocast(self.device, torch.bfloat16):
            patches = mini.see(normalise(batch.pixels))
            crossed = mini.cross(patches)
            asked_about = len(batch.tokens)
            hidden = mini.read(
                batch.tokens,
                batch.positions,
                attention_mask(batch.segments),
                crossed[:asked_about],
                FIRST_ROW,
            )
            of_asked = {kind: batch.labels[kind][:asked_about] for kind in ("shape", "colour")}
            pointed = self.pointing.words_loss(batch.tokens, batch.segments, of_asked)
            read = self.reading.reading_loss(
                batch.places, batch.labels["order"][:asked_about], READING_HEAD
            )
            asked = batch.targets != IGNORE
            logits = mini.logits(hidden[asked]).float()
            surprise = F.cross_entropy(logits, batch.targets[asked], reduction="none")
            weights = batch.weights[asked]
            answers = (surprise * weights).sum() / weights.sum()
            labelled = patches if self.heads_alone == 0 else patches.detach()
            self.heads_alone = max(self.heads_alone - 1, 0)
            on_patches, parts = patch_loss(self.model.heads(labelled), batch.labels, smoothing=0.05)
            on_rows, of_rows = patch_loss(self.model.row_heads(crossed), batch.labels)
            words = mini.model.text_model.embed_tokens.weight
            named = name_loss(self.model.name_heads(crossed, words), batch.labels)
            rows = mini.picture_row(patches[:asked_about]), mini.text_row(batch.texts, batch.text_ends)
        search = search_loss(*rows, mini.chiasm.embed.logit_scale, batch.matches)
        total = (
            answers
            + PATCH_WEIGHT * (on_patches + on_rows)
            + NAME_WEIGHT * named
            + POINT_WEIGHT * (pointed + read)
            + SEARCH_WEIGHT * search
        )
        shown = {
            "answers": answers,
            "search": search,
            "named": named,
            "pointed": pointed,
            "read": read,
            "characters": parts["characters"],
            "in rows": of_rows["characters"],
            "order": of_rows["order"],
            "beside": of_rows["beside"],
            "photo": parts["photo"],
        }
        return total, shown

    def validate(self) -> dict[str, float]:
        """Exact answers by topic, recall of search."""
        return self.check.measure(self.model.mini, self.device)


def search_loss(pictures: Tensor, texts: Tensor, scale: Tensor, matches: Tensor) -> Tensor:
    """Cross entropy both ways over the batch, shared evenly among all true matches of a row."""
    scores = pictures @ texts.T * scale.exp().clamp(max=100)
    wanted = matches.float() / matches.sum(dim=1, keepdim=True)
    return (F.cross_entropy(scores, wanted) + F.cross_entropy(scores.T, wanted)) / 2
