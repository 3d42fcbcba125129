"""Words and small grammar shared by all questions."""

from dataclasses import dataclass

import numpy as np

UNSURE = "I cannot tell from this picture."
CAPTION_REQUESTS = (
    "Describe the picture.",
    "Describe this image.",
    "What is in this picture?",
    "What is in the picture?",
    "What is in this image?",
    "What do you see?",
    "What can you see in the picture?",
    "Caption this image.",
    "Write a caption.",
    "What does the picture show?",
    "What does this image show?",
    "What is shown here?",
    "Give a short description.",
    "Tell me what you see.",
    "Please describe this picture.",
    "What's in this picture?",
    "Describe what you see.",
    "What is depicted?",
    "Caption the picture.",
    "Can you describe this image?",
    "Describe.",
    "What is this a picture of?",
    "Describe the image briefly.",
)
KIND_REQUESTS = (
    "Is this a photo or a drawing?",
    "Is it a photo, a drawing or a sign?",
    "What kind of picture is this?",
    "What type of image is this?",
    "Is this a photograph, a drawing, a chart or a text?",
)
KIND_ANSWERS = {
    "photo": "A photo.",
    "scene": "A drawing.",
    "text": "A text.",
    "chart": "A bar chart.",
    "display": "A digit display.",
}
NO_TEXT = "I see no text."
READ_REQUESTS = (
    "What does the sign say?",
    "What does it say?",
    "Read the text.",
    "What is written here?",
    "What is the text?",
    "What text is in the picture?",
    "What does the text say?",
    "Read this.",
    "Read it aloud.",
    "What is written?",
    "What words do you see?",
    "What is written on the sign?",
    "Please read the sign.",
    "Transcribe the text.",
    "What text do you see?",
    "What does this say?",
    "Which word is written here?",
    "Can you read this?",
)
_BEYOND = (
    "What time is it?",
    "What is the name of the owner?",
    "Who made this picture?",
    "Where was this taken?",
    "How much does it cost?",
    "What is the weather like?",
    "What day is it?",
    "How old is it?",
    "Who is this?",
    "What happened before?",
    "What is it thinking?",
    "Why is it here?",
    "Which country is this?",
    "How heavy is it?",
    "What is the capital of France?",
    "What will happen next?",
    "When was this taken?",
    "What is its name?",
    "What is behind the camera?",
    "How does it smell?",
    "Is it expensive?",
    "Which city is this?",
    "Who took the photo?",
    "What is the phone number?",
    "What music is playing?",
    "Who won the game?",
    "What does it taste like?",
    "How fast is it?",
    "What is two plus two?",
    "Write a poem.",
    "Who are you?",
    "Where do they live?",
    "What language do they speak?",
    "What is the temperature?",
    "Which year is it?",
    "How are you feeling?",
    "What is the person wearing?",
    "How many people are there?",
    "Is the person happy?",
    "What is the man doing?",
    "What brand is it?",
    "Who painted this?",
    "What is in the box?",
    "What is the meaning of life?",
)


@dataclass(frozen=True)
class Turn:
    """A question with its answer; `topic` names the row of the evaluation table."""

    topic: str
    question: str
    answer: str


def pick(rng: np.random.Generator, options):
    """One of a sequence."""
    return options[rng.integers(len(options))]


def fill(rng: np.random.Generator, templates, **words: str) -> str:
    """One of `templates` with its {fields} filled in."""
    return pick(rng, templates).format(**words)


def article(noun: str) -> str:
    """The noun with "a" or "an" before it."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    """More than one of `noun`."""
    if noun.endswith(("s", "x", "ch")):
        return noun + "es"
    return noun + "s"


def sentence(text: str) -> str:
    """`text` with a capital and a full stop."""
    return text[0].upper() + text[1:] + "."


def listing(items: list[str]) -> str:
    """The items as "a", "a and b" or "a, b and c"."""
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def yes_no(true: bool) -> str:
    """The short answer."""
    return "Yes." if true else "No."


def beyond(rng: np.random.Generator) -> Turn:
    """A question that no picture of ours answers."""
    return Turn("unsure", pick(rng, _BEYOND), UNSURE)


def spoken(rng: np.random.Generator, question: str) -> str:
    """The question as people type it: either spelling of colour and grey, sometimes careless."""
    if rng.random() < 0.5:
        question = question.replace("colour", "color")
    if rng.random() < 0.4:
        question = question.replace("gray", "grey")
    careless = rng.random()
    if '"' in question:  # a quoted word keeps its case
        return question
    if careless < 0.06:
        question = question[0].lower() + question[1:]
    elif careless < 0.1:
        question = question.rstrip("?.")
    elif careless < 0.13:
        question = question.lower().rstrip("?.")
    return question
