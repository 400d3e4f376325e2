"""Which classes the emoji world has, and which part each of them plays.

Names are the artists' own, with hyphens; prompts use spaces (`prompt_name`). The splits share no concept, also
not under another name: drawings of the same thing as a known or rare class (a second camel, a face-on bus)
are in no list at all.
"""

from __future__ import annotations

from aligndiff_cli.errors import UsageError

EMOJI_5I = (
    ("airplane", "banana", "birthday-cake", "bus", "butterfly"),
    ("cactus", "christmas-tree", "crown", "elephant", "guitar"),
    ("hamburger", "hot-pepper", "mushroom", "octopus", "penguin"),
    ("pineapple", "rocket", "soccer-ball", "strawberry", "umbrella"),
)
"""Emoji-5i: four folds of five, alphabetical over all; class ids run from 1 to 20 in this order."""

EMOJI_5I_CLASSES = tuple(name for fold in EMOJI_5I for name in fold)

KNOWN_VAL = ("beer-mug", "doughnut", "owl", "snail", "sunflower", "t-shirt", "telephone", "turtle")
"""Known to the pocket diffusion model, in the Emoji-FSS validation split."""

KNOWN = (*EMOJI_5I_CLASSES, *KNOWN_VAL)
"""All the pocket diffusion model has ever been shown."""

_OOD_TEST = """
anchor bathtub camel castle crab eggplant grapes high-heeled-shoe lipstick lizard moai pear saxophone
scorpion shopping-cart spider syringe telescope top-hat tractor unicorn violin"""
OOD_TEST = tuple(_OOD_TEST.split())
"""Rare classes of the Emoji-FSS test split: the pocket diffusion model has seen neither name nor drawing."""

OOD_VAL = ("candle", "cherries", "ear-of-corn", "key", "scissors", "shark", "skull", "tokyo-tower")
"""Rare classes of the validation split, for choosing settings."""

OOD = (*OOD_TEST, *OOD_VAL)

FSS_TEST = (*EMOJI_5I_CLASSES, *OOD_TEST)
FSS_VAL = (*KNOWN_VAL, *OOD_VAL)

_FSS_TRAIN = """
alarm-clock ambulance american-football articulated-lorry artist-palette automobile avocado baby-bottle
baby-chick backpack bacon badminton baggage-claim baguette-bread balloon ballot-box-with-ballot
barber-pole baseball basketball bat battery bear bed bell bellhop-bell bento-box bird blossom blowfish
blue-book boar bomb bookmark books bottle-with-popping-cork bow-and-arrow bowling boxing-glove bread
briefcase bullet-train burrito bust-in-silhouette camera canoe carousel-horse carp-streamer carrot cat
cheese-wedge cherry-blossom chestnut chicken chipmunk chocolate-bar cigarette clamp clapper-board
classical-building clipboard cloud cloud-with-rain clutch-bag cocktail-glass coffin comet computer-disk
confetti-ball cookie couch-and-lamp cow crayon croissant crystal-ball cucumber custard dango
deciduous-tree deer delivery-truck desktop-computer dog dolphin door dove dragon dress droplet drum duck
eagle egg electric-plug envelope factory fallen-leaf ferry field-hockey file-cabinet film-projector fire
fire-engine fish fish-cake-with-swirl fishing-pole flashlight floppy-disk fork-and-knife fountain-pen
four-leaf-clover fox french-fries fried-shrimp fuel-pump funeral-urn game-die gear gem-stone
glass-of-milk glasses goal-net goat gorilla graduation-cap green-apple green-salad hammer hamster
handbag headphone helicopter herb hibiscus honey-pot honeybee horse hospital hot-beverage hot-dog
hourglass-not-done house ice-cream ice-hockey ice-skate jack-o-lantern jeans joystick kick-scooter
kimono kitchen-knife kiwi-fruit koala lady-beetle laptop lemon leopard level-slider light-bulb lion
locked locomotive lollipop love-letter magnifying-glass-tilted-left maple-leaf meat-on-bone melon
microphone microscope military-medal mobile-phone money-bag monkey monorail motor-boat motor-scooter
motorcycle mouse musical-keyboard nail-polish necktie newspaper notebook nut-and-bolt oden oil-drum
package paintbrush palm-tree pancakes panda paperclip peach peanuts pen pencil pick pig pill ping-pong
pizza police-car pool-8-ball popcorn postbox pot-of-food potato poultry-leg printer purse pushpin rabbit
racing-car radio ram rat red-apple red-paper-lantern rescue-workers-helmet rhinoceros rice-ball ring
roasted-sweet-potato rolled-up-newspaper rooster rose running-shoe sailboat sake satellite
satellite-antenna school scroll seat seedling shallow-pan-of-food shamrock shaved-ice shield ship
shopping-bags shrimp skis snake snowflake soft-ice-cream speedboat spiral-shell spoon
sport-utility-vehicle statue-of-liberty steaming-bowl stop-sign straight-ruler studio-microphone
suspension-railway taco tangerine taxi teacup-without-handle tennis tent thermometer ticket tiger toilet
tomato tram-car triangular-ruler trophy tropical-drink tropical-fish trumpet tulip tumbler-glass turkey
video-camera video-game videocassette volcano volleyball wastebasket watch water-buffalo watermelon
whale window wine-glass wolf womans-boot womans-hat world-map wrapped-gift wrench"""
FSS_TRAIN = tuple(_FSS_TRAIN.split())
"""The Emoji-FSS train split: everything else that at least five artists drew and that is an object."""

NUM_FOLDS = len(EMOJI_5I)


def prompt_name(concept: str) -> str:
    """The name as a prompt says it: ``"hot-pepper"`` -> ``"hot pepper"``."""
    return concept.replace("-", " ")


def novel_ids(fold: int) -> tuple[int, ...]:
    """Class ids (1-based) of the novel classes of Emoji-5i's fold `fold` in 0..3.

    Raises:
        UsageError: no such fold.
    """
    if fold not in range(NUM_FOLDS):
        raise UsageError(f"Emoji-5i has folds 0 to {NUM_FOLDS - 1}, not {fold}")
    return tuple(range(5 * fold + 1, 5 * fold + 6))
