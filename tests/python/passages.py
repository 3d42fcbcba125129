"""1,200 passages of everyday things, the same wherever they are made, and questions about them."""

import random

_WHO = (
    "a gardener|the old fisherman|two students|our neighbour|a night nurse|the village baker|a young"
    " pilot|the museum guard|a bus driver|my grandmother|the chess club|a street musician|the head of"
    " the bank|a famous painter|the school choir|an engineer|the mountain guide|a retired judge"
).split("|")
_DID = (
    "repaired {what} {where}|sold {what} {where}|was looking for {what} {where}|wrote a letter about"
    " {what} {where}|found {what} {where}|took a photograph of {what} {where}|forgot {what}"
    " {where}|argued about the price of {what} {where}|learnt how to build {what} {where}|carried"
    " {what} home and left it {where}"
).split("|")
_WHAT = (
    "a wooden boat|an electric bicycle|the broken clock|a bag of oranges|three umbrellas|a map of the"
    " city|the insurance contract|a litter of kittens|a violin|the warm soup|an antique mirror|the"
    " telescope|a box of medicine|some winter coats|the voting papers|a computer with a cracked screen|a"
    " loaf of rye bread|the garden fence"
).split("|")
_WHERE = (
    "behind the railway station|in the kitchen|near the harbour|at the top of the hill|under the bridge|in"
    " front of the town hall|on a ferry to the islands|at the airport|in the hospital's corridor|beside"
    " the swimming pool|in the library|at the edge of the forest"
).split("|")
_WHEN = (
    "One Monday morning|In the middle of the night|During the storm|Last summer|After the concert|Before"
    " the elections|In 1987|On the first day of spring|While the power was out|Every winter"
).split("|")
_THEN = (
    "Nobody noticed.|It took six hours and cost forty euros.|The police came too late.|The neighbours"
    " still laugh about it.|A newspaper printed the story on its last page.|Rain had begun to fall.|The"
    " children asked whether it was true.|It was the third time that month.|A week later everything was"
    " different.|The dog was asleep by the fire."
).split("|")

QUESTIONS = (
    "Who fixed a timepiece?|fruit for sale at the port|a musical instrument in a hospital|Where are the"
    " young cats?|What happened in 1987?|bread baked in the village|lost luggage at the airport|an"
    " astronomer looks at stars|legal papers and insurance|ballots before the elections|a boat under the"
    " bridge|clothes for cold weather|What did the pilot forget?|someone photographed a mirror|drugs in"
    " the clinic|cycling with a motor|a laptop that no longer works|hot food at home|protection from the"
    " rain|painting and art|a long night without electricity|children singing|climbing the"
    " mountain|money|garden work"
).split("|")


def passages(count: int = 1200) -> list[str]:
    """Unlike passages of one or two sentences."""
    rng = random.Random(20261129)
    seen: dict[str, None] = {}
    while len(seen) < count:
        did = rng.choice(_DID).format(what=rng.choice(_WHAT), where=rng.choice(_WHERE))
        seen[f"{rng.choice(_WHEN)}, {rng.choice(_WHO)} {did}. {rng.choice(_THEN)}"] = None
    return list(seen)
