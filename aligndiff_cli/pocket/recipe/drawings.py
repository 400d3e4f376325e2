"""The drawings the pocket diffusion model learns from: who drew them, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji import MAX_FILL
from aligndiff_cli.datasets.emoji_sprites import IconSets

STYLES = {
    "noto": "shaded",
    "noto-v1": "glossy",
    "twemoji": "flat",
    "emojione": "detailed",
    "fluent-emoji-flat": "rounded",
    "fluent-emoji": "solid",
}
"""The artists the model learns from, and the adjective for each one's way of drawing."""

UNSEEN_ARTIST = "fxemoji"
"""The seventh artist is never drawn for it: a look that only v* can bring."""

NAMED = (*classes.KNOWN, *classes.FSS_TRAIN)
"""Classes whose names the model is taught. None of them is rare."""

_UNNAMED = """
abacus accordion adhesive-bandage alembic alien alien-monster amphora ant auto-rickshaw axe badger bagel
balance-scale ballet-shoes bank basket beach-with-umbrella beans beaver beetle bell-pepper bell-with-slash
beverage-box bicycle bikini billed-cap bison black-nib bone boomerang bouquet bowl-with-spoon brain brick briefs
broccoli broken-chain broom bubble-tea bucket bug bullseye butter camera-with-flash camping candy canned-food
card-file-box card-index card-index-dividers carpentry-saw chains chair chess-pawn chopsticks church circus-tent
closed-book cloud-with-lightning cloud-with-lightning-and-rain cloud-with-snow coat cockroach coconut coin collision
compass computer-mouse control-knobs cooked-rice coral credit-card cricket-game crossed-swords crutch cup-with-straw
cupcake curling-stone curry-rice cut-of-meat dagger derelict-house dna dodo dollar-banknote donkey dumpling dvd ear
ear-with-hearing-aid elevator empty-nest euro-banknote evergreen-tree ewe eye eye-in-speech-bubble eyes falafel
fax-machine feather file-folder film-frames fire-extinguisher firecracker fireworks flamingo flat-shoe flatbread
fleur-de-lis flute fly flying-disc flying-saucer fondue foot footprints fork-and-knife-with-plate fortune-cookie
frog front-facing-baby-chick garlic ghost ginger-root giraffe globe-showing-americas globe-showing-asia-australia
globe-showing-europe-africa globe-with-meridians gloves glowing-star goblin goggles goose green-book guide-dog
hair-pick hammer-and-pick hammer-and-wrench hamsa hatching-chick headstone hedgehog high-speed-train high-voltage
hiking-boot hindu-temple hippopotamus hook horizontal-traffic-light hot-springs hotel house-with-garden hut hyacinth
ice identification-card inbox-tray incoming-envelope jar jellyfish kaaba kangaroo keyboard kite knot lab-coat
lacrosse ladder leafy-green ledger left-speech-bubble leg light-rail lime link linked-paperclips llama lobster
locked-with-pen long-drum lotion-bottle lotus loudspeaker love-hotel low-battery lungs magic-wand magnet
mahjong-red-dragon mammoth maracas martial-arts-uniform mate mechanical-arm mechanical-leg megaphone memo microbe
military-helmet mirror mirror-ball money-with-wings moose mosque mosquito motorized-wheelchair mount-fuji mountain
mouse-trap mouth movie-camera musical-note musical-notes muted-speaker name-badge nazar-amulet nest-with-eggs
nesting-dolls nose notebook-with-decorative-cover office-building ogre olive oncoming-automobile oncoming-police-car
oncoming-taxi onion open-book open-file-folder optical-disk orange-book orangutan orthodox-cross otter outbox-tray
ox oyster page-facing-up page-with-curl pager parachute parrot party-popper passenger-ship paw-prints pea-pod
peacock performing-arts petri-dish pickup-truck pie pile-of-poo pine-decoration pistol placard playground-slide
plunger polar-bear police-car-light poodle post-office postal-horn potted-plant pound-banknote pouring-liquid
prayer-beads pretzel puzzle-piece raccoon railway-car railway-track razor red-envelope red-triangle-pointed-down
red-triangle-pointed-up reminder-ribbon ribbon rice-cracker right-anger-bubble ring-buoy ringed-planet robot
roll-of-paper roller-skate rosette round-pushpin rugby-football safety-pin safety-vest salt sandwich sari sauropod
scarf screwdriver seal service-dog sewing-needle shinto-shrine shooting-star shortcake shorts skateboard skunk sled
slot-machine sloth soap socks softball spaghetti sparkler sparkles speaker-high-volume speaker-low-volume
speaker-medium-volume speech-balloon spiral-calendar spiral-notepad sports-medal spouting-whale squid star station
stethoscope stopwatch stuffed-flatbread sun sun-behind-cloud sun-behind-large-cloud sun-behind-rain-cloud
sun-behind-small-cloud sunglasses sushi swan synagogue t-rex takeout-box tamale tanabata-tree teapot
tear-off-calendar teddy-bear television test-tube thong-sandal thought-balloon thread tongue toolbox tooth
toothbrush trackball train tram trident-emblem troll trolleybus unlocked vertical-traffic-light waffle wheel
white-cane white-flower wind-chime wing worm x-ray yarn yen-banknote yo-yo zebra"""
UNNAMED = tuple(_UNNAMED.split())
"""Drawings it sees and never hears the name of: objects that four artists or more drew, outside every split, without
people, signs, flags and whatever looks like a rare class. They make the space of looks wider."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """One artist's drawing of one thing.

    Attributes:
        artist: a key of `STYLES`.
        concept: what it is.
        sprite: RGBA uint8 (h, w, 4).
    """

    artist: str
    concept: str
    sprite: NDArray[np.uint8]


def load_drawings(icons: Path, concepts: Sequence[str], side: int) -> list[Drawing]:
    """Every training artist's drawing of the concepts, shrunk for pictures of `side` pixels.

    Left out: pictures with a frame of their own, and a drawing that an artist uses for two of the concepts.
    """
    sets = IconSets(icons, list(STYLES))
    drawings, seen = [], set()
    for concept in concepts:  # resizing is most of rendering, so it is done once to little more than is needed
        for artist in sets.artists_of(concept):
            sprite = _shrunk(sets.sprite(artist, concept), side * 5 // 4)
            key = (artist, sprite.tobytes())
            if key not in seen and (sprite[..., 3] > 127).mean() < MAX_FILL:
                drawings.append(Drawing(artist, concept, sprite))
            seen.add(key)
    return drawings


def _shrunk(sprite: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    ratio = side / max(sprite.shape[:2])
    size = (max(1, round(sprite.shape[1] * ratio)), max(1, round(sprite.shape[0] * ratio)))
    return np.asarray(Image.fromarray(sprite).resize(size, Image.Resampling.LANCZOS))
