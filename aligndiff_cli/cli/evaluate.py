"""``aligndiff evaluate``: do the masks, and the samples, help?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndiff_cli.cli import flags, gfss_flags
from aligndiff_cli.cli.flags import RUN
from aligndiff_cli.cli.gfss_flags import SHARED
from aligndiff_cli.cli.session import run

NAME = "evaluate"
PROTOCOLS = ("masks", "fss", "gfss")
FSS = "Protocol fss: few-shot segmentation (D.4, Table 2)"
MASKS = "Protocol masks: any two mask folders"


def command(
    protocol: Annotated[
        str,
        typer.Option(
            help="masks (compare two mask folders), fss (few-shot segmentation) or gfss (base and novel classes).",
            rich_help_panel=RUN,
        ),
    ],
    out: flags.Out,
    predictions: Annotated[
        Path | None, typer.Option(help="Masks to judge: <class>/<id>.png.", rich_help_panel=MASKS)
    ] = None,
    truth: Annotated[Path | None, typer.Option(help="True masks, laid out alike.", rich_help_panel=MASKS)] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="The predictions are soft maps; cut them here.", rich_help_panel=MASKS),
    ] = None,
    support: Annotated[
        Path | None, typer.Option(help="Real support pairs, the ones `aligndiff invert` saw.", rich_help_panel=SHARED)
    ] = None,
    support_masks: Annotated[
        Path | None,
        typer.Option(help="Folder of the support masks, if not beside the images.", rich_help_panel=SHARED),
    ] = None,
    mask_orientation: flags.MaskOrientation = "auto",
    query: Annotated[
        Path | None,
        typer.Option(
            help="What is segmented: fss, pairs laid out like a support folder; gfss, a VOC folder (split val).",
            rich_help_panel=SHARED,
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Synthetic samples, from `aligndiff mask`; without them only the real supports are used.",
            rich_help_panel=SHARED,
        ),
    ] = None,
    fold: gfss_flags.Folds = "",
    runs: gfss_flags.Runs = 1,
    synthetic: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(1), help="Synthetic samples added to the real ones (20S).", rich_help_panel=FSS
        ),
    ] = 20,
    beta: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="β of D.4: a sample joins if, alone, it segments the real image this well.",
            rich_help_panel=FSS,
        ),
    ] = 0.5,
    filter_: Annotated[
        str,
        typer.Option(
            "--filter",
            help="Samples put to β's test: text (plain ones, the paper) or all (inverted ones too; ours).",
            rich_help_panel=FSS,
        ),
    ] = "text",
    queries: Annotated[
        int | None,
        typer.Option(
            callback=flags.at_least(1), help="Query pictures per class.", show_default="all", rich_help_panel=FSS
        ),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option(
            callback=flags.at_least(1),
            help="Episodes, drawn by the seed: a class, one of its queries and, with --shots, its support pairs "
            "(HSNet: 1000 on PASCAL-5i and COCO-20i).",
            show_default="every query once",
            rich_help_panel=FSS,
        ),
    ] = None,
    compare_size: Annotated[
        int | None,
        typer.Option(
            callback=flags.at_least(8, flags.MOST_PIXELS),
            help="Compare masks at this size (HSNet's protocol: its 400 pixels).",
            show_default="full resolution",
            rich_help_panel=FSS,
        ),
    ] = None,
    ood: Annotated[
        Path | None,
        typer.Option(help="Text file naming the out-of-distribution classes, one a line.", rich_help_panel=FSS),
    ] = None,
    base: gfss_flags.Base = None,
    support_labels: gfss_flags.SupportLabels = None,
    base_model: gfss_flags.BaseModel = None,
    method: gfss_flags.Method = "gaps",
    layout: gfss_flags.Layout = "paste",
    scenes: gfss_flags.Scenes = None,
    conditioning: gfss_flags.Conditioning = "full",
    per_class: gfss_flags.PerClass = None,
    inverted_share: gfss_flags.InvertedShare = 0.5,
    shots: gfss_flags.Shots = None,
    classes_per_step: gfss_flags.ClassesPerStep = 1,
    iterations: gfss_flags.Iterations = None,
    batch: gfss_flags.Batch = None,
    crop: gfss_flags.Crop = None,
    backbone_rate: gfss_flags.BackboneRate = None,
    classifier_rate: gfss_flags.ClassifierRate = None,
    distillation: gfss_flags.Distillation = None,
    scale_low: gfss_flags.ScaleLow = None,
    scale_high: gfss_flags.ScaleHigh = None,
    scale_of: gfss_flags.ScaleOf = "frame",
    memory: gfss_flags.Memory = None,
    epochs: gfss_flags.Epochs = None,
    base_batch: gfss_flags.BaseBatch = None,
    base_rate: gfss_flags.BaseRate = None,
    data_parallel: gfss_flags.DataParallel = False,
    output_stride: gfss_flags.OutputStride = None,
    segmenter: flags.SegmenterName = None,
    segmenter_weights: flags.SegmenterWeights = None,
    backbone: flags.Backbone = None,
    segmenter_size: flags.SegmenterSize = None,
    ssp_refine: flags.SspRefine = True,
    device: flags.Device = "auto",
    seed: flags.Seed = 0,
    shard: flags.Shard = None,
    config: flags.Config = None,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
) -> None:
    """Measure mask quality, or few-shot segmentation with and without the samples ([bold]→ results/[/]).

    Writes metrics.json, table.md and report.html. With --protocol fss, rows are those of the paper's Table 2: the real
    support alone (1R), with plain samples and their coarse masks, with plain samples and refined masks, and with all.
    With --protocol gfss, a DeepLab learns the base classes, then the novel ones by one of four methods, from the few
    shots alone or with the samples; base and novel classes are then segmented in one pass.

    [dim]aligndiff evaluate --protocol fss --support support/ --query query/ --masks masks/ --out results/[/]

    [dim]aligndiff evaluate --protocol gfss --base base/ --support support/ --query query/ --out results/[/]
    """

    def stage():  # type: ignore[no-untyped-def]
        from aligndiff_cli.errors import UsageError

        if protocol == "masks":
            from aligndiff_cli.stages.evaluate_masks import MasksOptions, MasksStage

            return MasksStage(
                MasksOptions(
                    predictions=flags.needed(predictions, "--predictions", protocol),
                    truth=flags.needed(truth, "--truth", protocol),
                    threshold=threshold,
                    out=out,
                    seed=seed,
                )
            )
        if protocol == "fss":
            from aligndiff_cli.stages.common import SegmenterChoice
            from aligndiff_cli.stages.evaluate_fss import FssOptions, FssStage

            return FssStage(
                FssOptions(
                    support=str(flags.needed(support, "--support", protocol)),
                    support_masks=None if support_masks is None else str(support_masks),
                    mask_orientation=mask_orientation,  # type: ignore[arg-type]  # its check has seen it
                    query=str(flags.needed(query, "--query", protocol)),
                    masks=None if masks is None else str(masks),
                    out=out,
                    folds=gfss_flags.parse_folds(fold),
                    runs=runs,
                    synthetic=synthetic,
                    beta=beta,
                    filter=filter_,
                    queries=queries,
                    episodes=episodes,
                    shots=shots,
                    compare_size=compare_size,
                    ood=None if ood is None else str(ood),
                    segmenter=SegmenterChoice(segmenter, segmenter_weights, backbone, segmenter_size, ssp_refine),
                    device=device,
                    seed=seed,
                )
            )
        if protocol == "gfss":
            from aligndiff_cli.stages.evaluate_gfss import GfssOptions, GfssStage
            from aligndiff_cli.stages.gfss.base_model import base_choice

            return GfssStage(
                GfssOptions(
                    base=str(flags.needed(base, "--base", protocol)),
                    support=str(flags.needed(support, "--support", protocol)),
                    support_masks=None if support_masks is None else str(support_masks),
                    mask_orientation=mask_orientation,  # type: ignore[arg-type]  # its check has seen it
                    support_labels=None if support_labels is None else str(support_labels),
                    query=str(flags.needed(query, "--query", protocol)),
                    masks=None if masks is None else str(masks),
                    scenes=None if scenes is None else str(scenes),
                    base_model=None if base_model is None else str(base_model),
                    out=out,
                    method=method,
                    layout=layout,
                    conditioning=conditioning,
                    per_class=per_class,
                    inverted_share=inverted_share,
                    shots=shots,
                    folds=gfss_flags.parse_folds(fold),
                    runs=runs,
                    step_classes=classes_per_step or None,
                    base_stage=base_choice(backbone, output_stride, epochs, base_batch, base_rate, crop, data_parallel),
                    novel={
                        "iterations": iterations,
                        "batch": batch,
                        "crop": None if crop is None else (crop, crop),
                        "backbone_rate": backbone_rate,
                        "classifier_rate": classifier_rate,
                        "distillation": distillation,
                        "memory": memory,
                        "scale_low": scale_low,
                        "scale_high": scale_high,
                        "scale_of": scale_of,
                    },
                    device=device,
                    seed=seed,
                )
            )
        raise UsageError(f"--protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}")

    run(stage, shard=shard, force=force, quiet=quiet)
