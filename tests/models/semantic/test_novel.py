"""The novel stage and its methods, on stub features and on a tiny DeepLab."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aligndiff_cli.method.composition import cut_out
from aligndiff_cli.models.semantic.batch_renorm import BatchRenorm2d
from aligndiff_cli.models.semantic.batches import LabelledImage
from aligndiff_cli.models.semantic.cosine import CosineHead
from aligndiff_cli.models.semantic.deeplab import DeepLab
from aligndiff_cli.models.semantic.methods import METHODS
from aligndiff_cli.models.semantic.methods.finetune import Finetune
from aligndiff_cli.models.semantic.methods.gaps import Gaps, paste_clamped, scene_of, study_base
from aligndiff_cli.models.semantic.methods.gfs import Gfs
from aligndiff_cli.models.semantic.methods.pifs import Pifs
from aligndiff_cli.models.semantic.novel import Method, NovelSettings, imprinted, learn
from aligndiff_cli.models.semantic.task import Novel, Task, hide_unlearnt

pytestmark = pytest.mark.slow

COLOURS = {3: (250, 20, 20), 4: (20, 250, 20)}
TINY = NovelSettings(iterations=2, batch=2, crop=(32, 48), memory=3, scale_high=1.0)


class Stub(nn.Module):
    """Features are the colours of blocks of 4 x 4 pixels, whatever the weights."""

    def __init__(self, rows: Sequence[Sequence[float]]) -> None:
        super().__init__()
        self.head = CosineHead(3, len(rows))
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor(rows))
        self.register_buffer("mean", torch.zeros(1))
        self.aspp = nn.Identity()

    def encode(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images.float(), 4)

    def features(self, images: Tensor) -> Tensor:
        return self.aspp(self.encode(images))


def blocks(colours: Sequence[Sequence[Sequence[int]]]) -> np.ndarray:
    """An image of blocks of 4 x 4 pixels."""
    return np.array(colours, np.uint8).repeat(4, 0).repeat(4, 1)


def at(degrees: float) -> tuple[int, int, int]:
    """A colour whose direction is so far from blue, towards green."""
    return 0, round(200 * np.sin(np.radians(degrees))), round(200 * np.cos(np.radians(degrees)))


def pair(row: int, height: int = 24, width: int = 36, shift: int = 0) -> LabelledImage:
    """A box in the class's colour on grey."""
    image, labels = np.full((height, width, 3), 100 + shift, np.uint8), np.zeros((height, width), np.uint8)
    labels[4:16, 6:26] = row
    image[labels == row] = COLOURS[row]
    return image, labels


@pytest.fixture
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are trained on as they are, not scaled, cropped and mirrored."""
    monkeypatch.setattr(Method, "augmented", lambda self, rng, sample: sample)


def base_images() -> list[LabelledImage]:
    """Three images with base classes 1, 2, and both; blue only."""
    samples = []
    for number, shown in enumerate(((1,), (2,), (1, 2))):
        image, labels = np.full((40, 56, 3), 10 * number, np.uint8), np.zeros((40, 56), np.uint8)
        for at, row in enumerate(shown):
            labels[4:30, 4 + 24 * at : 24 + 24 * at] = row
            image[labels == row] = (0, 0, 120 * row)
        labels[39] = 255
        samples.append((image, labels))
    return samples


def task(*, samples: bool = False, **changes: object) -> Task:
    novel = {row: Novel([pair(row)], *([[pair(row, shift=9)]] * 2 if samples else [])) for row in (3, 4)}
    return replace(Task(base_images(), [{1}, {2}, {1, 2}], 2, novel), **changes)


def studied(model: DeepLab, **changes: object) -> Task:
    own = task(**changes)
    return replace(own, study=Gaps.study(model, own.base, own.base_classes))


def same(one: LabelledImage, other: LabelledImage) -> bool:
    return one[0].tobytes() == other[0].tobytes() and one[1].tobytes() == other[1].tobytes()


def shown(sample: LabelledImage, row: int) -> None:
    """Pixels that carry a novel row are those of its colour."""
    image, labels = sample
    far = np.abs(image.astype(int) - COLOURS[row]).max(2)
    np.testing.assert_array_equal(far <= 2, labels == row)


# ---- the loop


def test_an_imprinted_weight_by_hand() -> None:
    bg = (0, 0, 200)
    one, labels = blocks([[(30, 40, 0), (10, 0, 0), bg], [bg, bg, bg]]), np.zeros((8, 12), np.uint8)
    labels[:4, :6] = 1  # the first block and half of the second
    other, small = blocks([[bg, (0, 70, 0)]]), np.zeros((4, 8), np.uint8)
    small[:, 4:] = 1
    # first shot: ((0.6, 0.8) + 0.5 * (1, 0)) / 1.5 = (1.1, 0.8) / 1.5; second shot: (0, 1)
    x, y = 1.1 / 1.5, 0.8 / 1.5 + 1
    expected = torch.tensor([x, y, 0]) / (x**2 + y**2) ** 0.5
    model = Stub([[0, 0, 1]]).train()
    shots = [(one, labels), (other, small)]
    torch.testing.assert_close(imprinted(model, shots, 1), expected)  # type: ignore[arg-type]
    assert model.training
    # PIFS: both at length 1 before they are averaged
    x, y = 1.1 / 1.85**0.5, 0.8 / 1.85**0.5 + 1
    expected = torch.tensor([[x, y, 0]]) / (x**2 + y**2) ** 0.5
    found = Pifs(model, task(novel={1: Novel(shots)}), TINY).first_weights([1])  # type: ignore[arg-type]
    torch.testing.assert_close(found, expected)


def test_classes_are_learnt_group_after_group() -> None:
    seen: list[tuple[list[int], list[int], int, int]] = []

    class Noted(Method):
        def begin(self, group: Sequence[int]) -> None:
            super().begin(group)
            rows = len(self.previous.head.weight), len(self.model.head.weight)
            seen.append((list(self.current), list(self.learnt), *rows))

        def draw(self, rng: np.random.Generator) -> LabelledImage:
            raise AssertionError

    novel = {row: Novel([(pair(3)[0], pair(3)[1] // 3 * row)]) for row in (1, 2, 3)}
    method = Noted(Stub([[0, 0, 1]]), Task([], [], 0, novel), NovelSettings(iterations=0))  # type: ignore[arg-type]
    found = learn(method, [[2], [1, 3]], lambda _: None)
    assert seen == []
    assert next(found) == (0, (2,))
    assert seen == [([2], [2], 1, 2)]
    first = method.model.head.weight.detach().clone()
    assert next(found) == (1, (2, 1, 3))
    assert seen[1:] == [([1, 3], [2, 1, 3], 2, 4)]
    assert torch.equal(method.model.head.weight[:2], first)
    assert next(found, None) is None
    assert not any(parameter.requires_grad for parameter in method.previous.parameters())


@pytest.mark.parametrize("name", ["finetune", "gaps", "pifs"])
def test_a_step_trains_and_hands_over(deeplab: DeepLab, name: str) -> None:
    done: list[int] = []
    before = {key: value.clone() for key, value in deeplab.state_dict().items()}
    method = METHODS[name](deeplab, studied(deeplab), TINY)
    for number, learnt in learn(method, [[3], [4]], done.append):
        assert learnt == (3, 4)[: number + 1]
        assert len(done) == 2 * (number + 1)
        assert not deeplab.training
        assert deeplab.classes == 4 + number
    after = deeplab.state_dict()
    first = "backbone.embedder.embedder.convolution.weight"
    assert not torch.equal(before[first], after[first])
    # batch normalization is frozen in GAPS and fine-tuning; PIFS renormalises by the statistics of the base stage
    statistics = [key for key in before if "running" in key or "batches" in key]
    assert statistics
    assert all(torch.equal(before[key], after[key]) for key in statistics)
    # and its scale and shift learn in PIFS alone
    norms = [key for key in before if key.endswith("normalization.weight") or key == "aspp.project.1.bias"]
    assert len(norms) > 2
    assert all(torch.equal(before[key], after[key]) for key in norms) == (name != "pifs")


@pytest.mark.parametrize("name", METHODS)
def test_a_run_follows_from_its_seed(deeplab: DeepLab, name: str) -> None:
    def end(seed: int) -> Tensor:
        method = METHODS[name](copy.deepcopy(deeplab), studied(deeplab, seed=seed), TINY)
        method.settings = replace(TINY, iterations=0 if name == "gfs" else 2)
        for _ in learn(method, [[3, 4]], lambda _: None):
            pass
        return method.model.head.weight.detach()

    assert torch.equal(end(1), end(1))
    assert torch.equal(end(1), end(2)) == (name == "gfs")


def test_the_classifier_and_the_body_have_rates_of_their_own(deeplab: DeepLab) -> None:
    body = deeplab.aspp.project[0].weight.detach().clone()
    settings = replace(TINY, backbone_lr=0.0, classifier_lr=0.1)
    method = Finetune(deeplab, task(), settings)
    next(learn(method, [[3]], lambda _: None))
    assert torch.equal(deeplab.aspp.project[0].weight, body)
    assert not torch.equal(deeplab.head.weight[:3], method.previous.head.weight)


@pytest.mark.parametrize("name", ["finetune", "gaps", "pifs"])
def test_weights_decay_in_pifs_alone(deeplab: DeepLab, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = METHODS[name]
    monkeypatch.setattr(kind, "loss", lambda self, features, *_: 0 * features.sum())
    first = deeplab.aspp.project[0].weight.detach().clone()
    method = kind(deeplab, studied(deeplab), replace(TINY, iterations=1, backbone_lr=1.0))
    next(learn(method, [[3]], lambda _: None))
    after = deeplab.aspp.project[0].weight.detach()
    torch.testing.assert_close(after, first * (1 - 1e-4) if name == "pifs" else first, rtol=1e-6, atol=0)


# ---- fine-tuning


def test_finetune_begins_at_random_rows_as_long_as_the_others() -> None:
    model = Stub([[3, 0, 0], [0, 5, 0], [0, 0, 1]])
    method = Finetune(model, task(), TINY)  # type: ignore[arg-type]
    method.begin([3, 4])
    assert model.head.weight.norm(dim=1).tolist() == pytest.approx([3, 5, 1, 3, 3])
    again = Finetune(Stub([[3, 0, 0], [0, 5, 0], [0, 0, 1]]), task(), TINY)  # type: ignore[arg-type]
    again.begin([3])
    again.begin([4])
    rows = [*model.head.weight[3:].tolist(), again.model.head.weight[4].tolist()]
    assert len({tuple(row) for row in rows}) == 3


@pytest.mark.parametrize("layout", ["paste", "plain"])
@pytest.mark.usefixtures("unchanged")
def test_finetune_without_samples_sees_the_present_few_shots_alone(deeplab: DeepLab, layout: str) -> None:
    method = Finetune(deeplab, task(layout=layout), TINY)
    method.begin([3])
    method.begin([4])
    rng = np.random.default_rng(0)
    for _ in range(10):
        assert same(method.draw(rng), pair(4))


@pytest.mark.parametrize("name", ["finetune", "pifs", "gaps"])
@pytest.mark.usefixtures("unchanged")
def test_a_few_shot_keeps_what_is_known_of_the_rest_of_it(deeplab: DeepLab, name: str) -> None:
    image, labels = pair(4)
    labels[0] = [0, 1, 2, 3, 4, 5] * 6  # the base classes, all novel ones
    labels[1] = 255  # the border of an object
    novel = {row: Novel([pair(3) if row == 3 else (image, labels)]) for row in (3, 4, 5)}
    own = task(layout="plain", novel=novel)
    own = replace(own, study=Gaps.study(deeplab, own.base, own.base_classes))
    method = METHODS[name](deeplab, own, TINY)
    method.begin([3])
    method.begin([4, 5])
    rng = np.random.default_rng(0)
    drawn = [found for _ in range(40) if (found := method.draw(rng))[0].tobytes() == image.tobytes()]
    rows = {tuple(found[0, :6].tolist()) for _, found in drawn}
    # class 3 was learnt before; of those learnt now a picture says its own class alone
    assert rows == {(0, 1, 2, 3, 4, 255), (0, 1, 2, 3, 255, 5)}
    assert all((found[1] == 255).all() for _, found in drawn)


@pytest.mark.usefixtures("unchanged")
def test_finetune_with_samples_pastes_what_is_learnt_onto_base_images(deeplab: DeepLab) -> None:
    method = Finetune(deeplab, task(samples=True), TINY)
    method.begin([3])
    rng = np.random.default_rng(0)
    for _ in range(20):
        drawn = method.draw(rng)
        assert drawn[0].shape == (40, 56, 3)
        assert set(np.unique(drawn[1])) <= {0, 1, 2, 3, 255}
        shown(drawn, 3)
    method.begin([4])
    rows = set().union(*(np.unique(method.draw(rng)[1]).tolist() for _ in range(30)))
    assert rows == {0, 1, 2, 3, 4, 255}


@pytest.mark.parametrize("name", ["finetune", "gaps"])
def test_objects_are_pasted_after_the_base_picture_is_cropped(deeplab: DeepLab, name: str) -> None:
    # each object is pasted whole: 12 x 20 of 24 x 36 pixels, fitted into the window, at half size
    settings = replace(TINY, crop=(48, 72), scale_low=0.5, scale_high=0.5)
    method = METHODS[name](deeplab, studied(deeplab, samples=True), settings)
    method.begin([3])
    rng = np.random.default_rng(0)
    areas = []
    for _ in range(40):
        image, labels = method.draw(rng)
        assert image.shape == (48, 72, 3)
        assert labels.shape == (48, 72)
        areas.append(int((labels == 3).sum()))
    assert set(areas) - {0} == {area for area in areas if 12 * 20 <= area <= 3 * 12 * 20}


@pytest.mark.usefixtures("unchanged")
def test_finetunes_memory_is_a_random_part_of_the_base_images(deeplab: DeepLab) -> None:
    numbered = [(np.full((40, 56, 3), 30 * number, np.uint8), np.zeros((40, 56), np.uint8)) for number in range(8)]
    for seed in range(3):
        method = Finetune(
            deeplab, task(samples=True, base=numbered, base_classes=[()] * 8, seed=seed), replace(TINY, memory=2)
        )
        method.begin([3])
        rng = np.random.default_rng(0)
        drawn = [method.draw(rng) for _ in range(40)]
        kept = {int(image[labels == 0][0, 0]) for image, labels in drawn}
        assert len(kept) == 2


def test_ready_scenes_hide_what_is_not_learnt_yet() -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    labels = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)
    found = hide_unlearnt((image, labels), 2, [4])
    assert found[1].tolist() == [[0, 1, 2], [255, 4, 255]]
    assert found[1].dtype == np.uint8
    assert hide_unlearnt((image, labels), 2, [3, 4])[1].tolist() == labels.tolist()
    assert labels[1, 0] == 3


@pytest.mark.parametrize("name", ["finetune", "gaps"])
@pytest.mark.usefixtures("unchanged")
def test_scenes_are_drawn_as_they_are(deeplab: DeepLab, name: str) -> None:
    scene = np.full((8, 12, 3), 7, np.uint8), np.full((8, 12), 4, np.uint8)
    method = METHODS[name](deeplab, studied(deeplab, layout="scenes", scenes=[scene]), TINY)
    method.begin([3])
    assert np.unique(method.draw(np.random.default_rng(0))[1]).tolist() == [255]
    method.begin([4])
    assert same(method.draw(np.random.default_rng(0)), scene)


# ---- GAPS


@pytest.mark.usefixtures("unchanged")
def test_gaps_pastes_learnt_classes_only_onto_memory_images(deeplab: DeepLab) -> None:
    own = studied(deeplab)
    before = [(image.copy(), labels.copy()) for image, labels in own.base]
    method = Gaps(deeplab, own, TINY)
    method.begin([4])
    rng = np.random.default_rng(0)
    counts = {3: 0, 4: 0}
    for _ in range(60):
        drawn = method.draw(rng)
        assert set(np.unique(drawn[1])) <= {0, 1, 2, 4, 255}
        shown(drawn, 4)
        counts[4] += (drawn[1] == 4).any()
        left = drawn[1] != 4
        assert any(
            (image[left] == drawn[0][left]).all() and (labels[left] == drawn[1][left]).all() for image, labels in before
        )
    # with 2r / (3r + 1), where r = max(1, sqrt((1 / 3) / (1 / 3))) = 1: half of all
    assert 20 <= counts[4] <= 40
    method.begin([3])
    rows = [set(np.unique(method.draw(rng)[1]).tolist()) for _ in range(60)]
    assert sum(3 in found for found in rows) >= 20
    assert sum(4 in found for found in rows) >= 15
    assert all(same(one, other) for one, other in zip(own.base, before, strict=True))


def test_one_coin_decides_on_both_objects_of_the_present_class_one_on_both_of_others(deeplab: DeepLab) -> None:
    method = Gaps(deeplab, studied(deeplab), TINY)
    method.begin([3])
    method.begin([4])
    drawn = [tuple(method._pasted(np.random.default_rng(seed), 4)) for seed in range(2000)]
    assert set(drawn) == {(), (4, 4), (3, 3), (3, 3, 4, 4)}
    # a probability of one half, see above
    assert sum(4 not in found for found in drawn) / 2000 == pytest.approx(0.5, abs=0.04)
    assert sum(not found for found in drawn) / 2000 == pytest.approx(0.25, abs=0.04)


def test_background_is_no_class_that_shares_the_pastes(deeplab: DeepLab) -> None:
    # 2 base and 1 novel class, 1 shot, a memory of 12: r = sqrt((1 / 3) / (1 / 12)) = 2, and 4 / 7
    images = base_images() * 4
    own = task(base=images, base_classes=[{1}, {2}, {1, 2}] * 4)
    own = replace(own, study=Gaps.study(deeplab, own.base, own.base_classes))
    method = Gaps(deeplab, own, replace(TINY, memory=12))
    method.begin([3])
    assert len(method._memory) == 12
    assert method._probability == pytest.approx(4 / 7)


def test_the_guide_is_every_scene_like_one_of_the_few_shots() -> None:
    # twenty base images and a share of 5 %: each shot is most like one of them, the third like the second
    images = [(blocks([[at(4 * number)] * 2]), np.full((4, 8), 1, np.uint8)) for number in range(20)]
    object_, labels = (200, 0, 0), np.array([[3, 0, 0]], np.uint8).repeat(4, 0).repeat(4, 1)
    shots = [(blocks([[object_, at(angle), at(angle)]]), labels) for angle in (0, 76, 77)]
    model = Stub([[1, 0, 0], [0, 0, 1]])
    own = task(base=images, base_classes=[{1}] * 20, base_count=1, novel={3: Novel(shots)})
    own = replace(own, study=study_base(model, own.base, own.base_classes))  # type: ignore[arg-type]
    method = Gaps(model, own, replace(TINY, memory=20))  # type: ignore[arg-type]
    method.begin([3])
    assert method._similar == {3: [0, 19]}


@pytest.mark.parametrize("layout", ["paste", "plain"])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.usefixtures("unchanged")
def test_the_share_of_base_images_that_the_guide_chooses(
    monkeypatch: pytest.MonkeyPatch, layout: str, share: float
) -> None:
    # 20 base images of one colour each; 5 % of them, the first, is like the shot
    images = [(blocks([[at(4 * number)] * 2]), np.full((4, 8), 1, np.uint8)) for number in range(20)]
    shot = blocks([[(200, 0, 0), at(0), at(0)]]), np.array([[3, 0, 0]], np.uint8).repeat(4, 0).repeat(4, 1)
    model = Stub([[1, 0, 0], [0, 0, 1]])
    own = task(base=images, base_classes=[{1}] * 20, base_count=1, novel={3: Novel([shot])}, layout=layout)
    own = replace(own, study=study_base(model, own.base, own.base_classes))  # type: ignore[arg-type]
    method = Gaps(model, own, replace(TINY, memory=20, guided_share=share))  # type: ignore[arg-type]
    method.begin([3])
    monkeypatch.setattr(Gaps, "_pasted", lambda *_: iter(()))
    rng = np.random.default_rng(0)
    drawn = [sample for _ in range(600) if 3 not in (sample := method.draw(rng))[1]]
    numbers = [next(k for k, one in enumerate(images) if same(one, sample)) for sample in drawn]
    # without the guide, which knows one image alone, each of the twenty is as probable
    assert numbers.count(0) / len(numbers) == pytest.approx(share + (1 - share) / 20, abs=0.06)
    assert len(set(numbers)) == (1 if share == 1 else 20)


def test_a_scene_is_what_the_encoder_sees() -> None:
    model = Stub([[0, 0, 1]])
    model.aspp = nn.ReLU6()  # type: ignore[assignment]
    image = blocks([[(20, 0, 0), (0, 0, 40)]])
    assert scene_of(model, image).tolist() == [10, 0, 20]  # type: ignore[arg-type]
    assert study_base(model, [(image, np.zeros((4, 8), np.uint8))], [()]).scenes.tolist() == [[10, 0, 20]]  # type: ignore[arg-type]


@pytest.mark.usefixtures("unchanged")
def test_gaps_plain_layout_is_a_memory_image_or_an_object_picture(deeplab: DeepLab) -> None:
    own = studied(deeplab, layout="plain")
    method = Gaps(deeplab, own, TINY)
    method.begin([3])
    rng = np.random.default_rng(0)
    drawn = [method.draw(rng) for _ in range(60)]
    pictures = [same(sample, pair(3)) for sample in drawn]
    assert 20 <= sum(pictures) <= 40
    for sample, is_picture in zip(drawn, pictures, strict=True):
        assert is_picture or any(same(sample, base) for base in own.base)


@pytest.mark.parametrize(("scale", "size"), [(0.5, (6, 10)), (1.0, (12, 20)), (2.0, (24, 40)), (3.0, (24, 40))])
def test_pasting_scales_within_the_frame_and_stays_in_it(scale: float, size: tuple[int, int]) -> None:
    # the object takes 6 x 10 of its picture's 12 x 20; fitted into 24 x 40 that is 12 x 20, and at most 24 x 40
    image, mask = np.full((12, 20, 3), 9, np.uint8), np.zeros((12, 20), bool)
    mask[3:9, 5:15] = True
    image[mask] = (250, 20, 20)
    cutout = cut_out(image, mask, 7, "x")
    corners = set()
    for seed in range(20):
        picture, labels = np.zeros((24, 40, 3), np.uint8), np.ones((24, 40), np.uint8)
        paste_clamped(np.random.default_rng(seed), picture, labels, cutout, (scale, scale))
        rows, columns = np.nonzero(labels == 7)
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == size
        assert len(rows) == size[0] * size[1]
        np.testing.assert_array_equal(picture, np.where((labels == 7)[..., None], (250, 20, 20), 0))
        corners.add((rows.min(), columns.min()))
    assert len(corners) == 1 if scale >= 2 else len(corners) > 5


@pytest.mark.parametrize(("scale", "size"), [(0.5, (3, 5)), (1.0, (6, 10)), (2.0, (12, 20)), (9.0, (24, 40))])
def test_pasting_by_the_scale_of_pixels(scale: float, size: tuple[int, int]) -> None:
    # 6 x 10 pixels of a picture of 12 x 20: as large in a frame of 24 x 40, up to what fits
    image, mask = np.full((12, 20, 3), 9, np.uint8), np.zeros((12, 20), bool)
    mask[3:9, 5:15] = True
    picture, labels = np.zeros((24, 40, 3), np.uint8), np.ones((24, 40), np.uint8)
    cutout = cut_out(image, mask, 7, "x")
    paste_clamped(np.random.default_rng(0), picture, labels, cutout, (scale, scale), "pixels")
    rows, columns = np.nonzero(labels == 7)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == size


def test_pasting_mirrors_half_of_the_time_and_covers_the_mask_only() -> None:
    image, mask = np.full((10, 10, 3), 200, np.uint8), np.zeros((10, 10), bool)
    mask[:, 0] = mask[9] = True  # an L
    cutout = cut_out(image, mask, 5, "x")
    left = 0
    for seed in range(100):
        picture, labels = np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10), np.uint8)
        paste_clamped(np.random.default_rng(seed), picture, labels, cutout, (1.0, 1.0))
        assert (labels == 5).sum() == 19
        left += labels[0, 0] == 5
    assert 30 < left < 70


def test_a_pasted_object_keeps_its_own_colours_pixel_by_pixel() -> None:
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8), rng.random((6, 9)) > 0.4
    mask[0, 0] = mask[5, 8] = True
    cutout = cut_out(image, mask, 7, "x")
    mirrored = set()
    for seed in range(8):
        picture, labels = np.full((24, 40, 3), 3, np.uint8), np.full((24, 40), 255, np.uint8)
        paste_clamped(np.random.default_rng(seed), picture, labels, cutout, (1.0, 1.0), "pixels")
        flip = np.random.default_rng(seed).random() < 0.5
        pixels, covers = (image[:, ::-1], mask[:, ::-1]) if flip else (image, mask)
        rows, columns = np.nonzero(labels == 7)
        window = np.s_[rows.min() : rows.min() + 6, columns.min() : columns.min() + 9]
        np.testing.assert_array_equal(labels[window], np.where(covers, 7, 255))
        np.testing.assert_array_equal(picture[window], np.where(covers[..., None], pixels, 3))
        assert (labels == 7).sum() == covers.sum()
        assert (picture == 3).all(2).sum() >= 24 * 40 - covers.sum()
        mirrored.add(flip)
    assert mirrored == {True, False}


def test_a_study_of_the_base_images_by_hand() -> None:
    model = Stub([[0, 0, 1], [1, 0, 0], [3, 4, 0]])
    one = blocks([[(20, 0, 0), (0, 0, 40)]]), np.repeat([1, 0], 4)[None].repeat(4, 0).astype(np.uint8)
    two = blocks([[(10, 0, 0), (0, 30, 0)]]), np.full((4, 8), 2, np.uint8)
    study = study_base(model, [one, two], [{1}, {2}])  # type: ignore[arg-type]
    assert study.scenes.tolist() == [[10, 0, 20], [5, 15, 0]]
    ((index, score),) = study.scores[1]
    assert (index, score) == (0, pytest.approx(2.0))  # cosine 1 over half the picture
    ((index, score),) = study.scores[2]
    # mean direction (0.5, 0.5), weight (0.6, 0.8): 0.7 / sqrt(0.5)
    assert (index, score) == (1, pytest.approx(0.7 / 0.5**0.5))


def _logits(model: Stub, images: Tensor) -> tuple[Tensor, Tensor]:
    features = model.features(images)
    return features, F.interpolate(model.head(features), images.shape[-2:], mode="bilinear")


def test_gaps_adds_the_squared_distance_to_the_features_before() -> None:
    model = Stub([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    own = replace(task(), study=study_base(model, base_images(), [{1}, {2}, {1, 2}]))  # type: ignore[arg-type]
    method = Gaps(model, own, replace(TINY, distillation=0.5))  # type: ignore[arg-type]
    method.begin([3])
    images = torch.from_numpy(pair(3)[0]).permute(2, 0, 1)[None]
    labels = torch.zeros(1, 24, 36, dtype=torch.int64)
    features, logits = _logits(model, images)
    plain = F.cross_entropy(logits, labels)
    torch.testing.assert_close(method.loss(features, logits, labels, images), plain)
    # every value 2 away: 0.5 * 4
    torch.testing.assert_close(method.loss(features + 2, logits, labels, images), plain + 2)


# ---- PIFS


@pytest.mark.parametrize("step", [0, 4, 9])
def test_pifs_rate_falls_along_a_polynomial(step: int) -> None:
    method = Pifs(Stub([[0, 0, 1]]), task(), replace(TINY, iterations=10))  # type: ignore[arg-type]
    assert method.rate(step) == pytest.approx((1 - step / 10) ** 0.9)


def test_a_batch_of_pifs_holds_no_more_pictures_than_there_are() -> None:
    few = Pifs(Stub([[0, 0, 1]]), task(), Pifs.defaults())  # type: ignore[arg-type]
    few.begin([3])
    assert few.batch == 1
    few.begin([4])
    assert few.batch == 1
    novel = {3: Novel([pair(3)] * 5, [pair(3)], [pair(3)] * 2), 4: Novel([pair(4)] * 20)}
    many = Pifs(Stub([[0, 0, 1]]), task(novel=novel), Pifs.defaults())  # type: ignore[arg-type]
    many.begin([3])
    assert many.batch == 8
    many.begin([4])
    assert many.batch == 10


def test_pifs_distils_from_the_model_before_extended_by_prototypes() -> None:
    model = Stub([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    method = Pifs(model, task(), replace(TINY, distillation=10.0))  # type: ignore[arg-type]
    method.begin([3])
    assert torch.equal(method.previous.head.weight, model.head.weight)
    assert not any(parameter.requires_grad for parameter in method.previous.parameters())
    images = torch.from_numpy(pair(3)[0]).permute(2, 0, 1)[None]
    labels = torch.zeros(1, 24, 36, dtype=torch.int64)
    labels[:, :2] = 255
    features, logits = _logits(model, images)
    plain = F.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(method.loss(features, logits, labels, images), plain)
    other = torch.zeros_like(logits)  # all four classes alike: KL = log 4 - entropy of what was believed before
    before = logits.softmax(1)
    divergence = np.log(4) + (before * before.log()).sum(1).mean()
    expected = np.log(4) + 10 * divergence / 4  # averaged over the classes
    torch.testing.assert_close(method.loss(features, other, labels, images), expected)


def test_pifs_renormalises_and_the_model_before_does_not(deeplab: DeepLab) -> None:
    method = Pifs(deeplab, task(), TINY)
    method.begin([3])
    for model, kind in ((deeplab, BatchRenorm2d), (method.previous, nn.BatchNorm2d)):
        assert {type(module) for module in model.modules() if isinstance(module, nn.BatchNorm2d)} == {kind}
    method.train_mode()
    assert all(module.training for module in deeplab.modules())
    assert not any(module.training for module in method.previous.modules())


def test_a_crop_in_which_nothing_is_known_teaches_nothing() -> None:
    model = Stub([[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    method = Pifs(model, task(), TINY)  # type: ignore[arg-type]
    method.begin([3])
    images = torch.from_numpy(pair(3)[0]).permute(2, 0, 1)[None]
    loss = method.loss(*_logits(model, images), torch.full((1, 24, 36), 255), images)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    loss.backward()
    assert model.head.weight.grad is not None
    assert torch.isfinite(model.head.weight.grad).all()


@pytest.mark.usefixtures("unchanged")
def test_pifs_sees_no_base_image() -> None:
    method = Pifs(Stub([[0, 0, 1]] * 3), task(samples=True, base=[]), TINY)  # type: ignore[arg-type]
    method.begin([3])
    method.begin([4])
    rng = np.random.default_rng(0)
    grounds = set()
    for _ in range(40):
        image, labels = method.draw(rng)
        assert np.unique(labels).tolist() == [0, 4]
        grounds.add(int(image[0, 0, 0]))
    assert grounds == {100, 109}  # the few shots, and the samples


# ---- GFS


def gfs_shot() -> LabelledImage:
    """Two blocks of one row each: the object, (0, 0.6, 0.8), red; then red."""
    image = blocks([[(0, 50, 0), (0, 30, 40), (200, 0, 0)], [(200, 0, 0)] * 3])
    labels = np.zeros((8, 12), np.uint8)
    labels[:4, :4] = 3
    return image, labels


def test_gfs_enriches_background_and_base_classes_seen_beside_the_object() -> None:
    model = Stub([[4, 3, 0], [0, 2, 0], [0, 0, 1]])
    method = Gfs(model, task(novel={3: Novel([gfs_shot()])}), Gfs.defaults())  # type: ignore[arg-type]
    done: list[int] = []
    assert list(learn(method, [[3]], done.append)) == [(0, (3,))]
    assert done == []
    # the object itself looks like base class 1, which is therefore not taken as seen; (0, 0.6, 0.8) is nearest to 2,
    # red to the background, whose weight has the direction (0.8, 0.6, 0)
    expected = [[0.9, 0.3, 0], [0, 1, 0], [0, 0.3, 0.9], [0, 1, 0]]
    torch.testing.assert_close(model.head.weight.detach(), torch.tensor(expected))


def test_gfs_reads_label_maps_where_there_are_any() -> None:
    model = Stub([[4, 3, 0], [0, 2, 0], [0, 0, 1]])
    image, labels = gfs_shot()
    labels[:4, 4:8] = 1  # what looks like class 2 is class 1
    labels[4:] = 255
    method = Gfs(model, task(novel={3: Novel([(image, labels)])}, labelled=True), Gfs.defaults())  # type: ignore[arg-type]
    method.begin([3])
    # one block of red is background, three are ignored
    expected = [[0.9, 0.3, 0], [0, 0.8, 0.4], [0, 0, 1], [0, 1, 0]]
    torch.testing.assert_close(model.head.weight.detach(), torch.tensor(expected))


def test_gfs_enriches_once_for_all_novel_classes() -> None:
    # base class 1 is in all five few shots, 42 degrees off: half way there, its weight is 21 degrees off, once for all
    novel = {
        row: Novel([(blocks([[(200, 0, 0), at(42)]]), np.repeat([row, 0], 4)[None].repeat(4, 0).astype(np.uint8))])
        for row in range(2, 7)
    }
    model = Stub([[1, 0, 0], [0, 0, 3]])
    method = Gfs(model, task(novel=novel, base_count=1), Gfs.defaults())  # type: ignore[arg-type]
    found = []
    for _ in learn(method, [[row] for row in novel], lambda _: None):
        weight = F.normalize(model.head.weight[1].detach(), dim=0)
        found.append(float(weight[2]))
    assert found == pytest.approx([np.cos(np.radians(21))] * 5, abs=1e-3)  # 0.934


def test_in_gfs_a_novel_class_that_does_not_show_a_base_class_counts_as_its_own_weight() -> None:
    seen = blocks([[(200, 0, 0), at(90)]]), np.array([[2, 1]], np.uint8).repeat(4, 0).repeat(4, 1)
    unseen = blocks([[(200, 0, 0), (200, 0, 0)]]), np.array([[3, 0]], np.uint8).repeat(4, 0).repeat(4, 1)
    model = Stub([[1, 0, 0], [0, 0, 3]])
    own = task(novel={2: Novel([seen]), 3: Novel([unseen])}, base_count=1, labelled=True)
    Gfs(model, own, Gfs.defaults()).begin([2])  # type: ignore[arg-type]
    # the mean of (0, 1, 0) and (0, 0, 1), at length 1, mixed with (0, 0, 1)
    half = 0.5**0.5 / 2
    torch.testing.assert_close(model.head.weight[1].detach(), torch.tensor([0, half, 0.5 + half]))


@pytest.mark.parametrize("name", METHODS)
def test_defaults_are_the_authors(name: str) -> None:
    found: Callable[[], NovelSettings] = METHODS[name].defaults
    expected = {
        "pifs": NovelSettings(200, 10, 1e-4, 1e-4, 10.0),
        "gfs": NovelSettings(iterations=0),
    }
    assert found() == expected.get(name, NovelSettings(200, 16, 1e-3, 1e-2, 0.1, (512, 512), 500, 0.1, 2.0))


# ---- what a class is drawn from


@pytest.mark.parametrize(
    ("kinds", "share", "expected"),
    [
        ("r", 0.5, {"r": 1}),
        ("ri", 0.5, {"r": 0.5, "i": 0.5}),
        ("rt", 0.5, {"r": 0.5, "t": 0.5}),
        ("rit", 0.5, {"r": 0.25, "i": 0.25, "t": 0.5}),
        ("rit", 1.0, {"r": 0.5, "i": 0.5}),
        ("rit", 0.0, {"t": 1}),
    ],
)
def test_shares_of_real_inverted_and_plain_pairs(kinds: str, share: float, expected: dict[str, float]) -> None:
    pools = [[kind] * (1 + 9 * (kind != "r")) if kind in kinds else [] for kind in "rit"]
    novel = Novel(*pools)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    drawn = [novel.draw(rng, share) for _ in range(2000)]
    for kind in "rit":
        assert drawn.count(kind) / 2000 == pytest.approx(expected.get(kind, 0), abs=0.04)  # type: ignore[arg-type]
