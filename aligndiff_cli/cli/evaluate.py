"""``aligndiff evaluate``: do the masks, and the samples, help?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndiff_cli.cli import flags
from aligndiff_cli.cli.flags import RUN
from aligndiff_cli.cli.session import run

NAME = "evaluate"
PROTOCOLS = ("masks", "fss")
FSS = "Protocol fss: few-shot segmentation (D.4, Table 2)"
MASKS = "Protocol masks: any two mask folders"


def command(
    protocol: Annotated[
        str, typer.Option(help="masks (compare two mask folders) or fss (few-shot segmentation).", rich_help_panel=RUN)
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
        Path | None, typer.Option(help="Real support pairs, the ones `aligndiff invert` saw.", rich_help_panel=FSS)
    ] = None,
    query: Annotated[
        Path | None, typer.Option(help="Pairs to be segmented, laid out like a support folder.", rich_help_panel=FSS)
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Synthetic samples, from `aligndiff mask`; without them only the real supports are scored.",
            rich_help_panel=FSS,
        ),
    ] = None,
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
            help="β of D.4: a plain sample joins if, alone, it segments the real image this well.",
            rich_help_panel=FSS,
        ),
    ] = 0.5,
    queries: Annotated[
        int | None,
        typer.Option(
            callback=flags.at_least(1), help="Query pictures per class.", show_default="all", rich_help_panel=FSS
        ),
    ] = None,
    compare_size: Annotated[
        int | None,
        typer.Option(
            callback=flags.at_least(8),
            help="Compare masks at this size (HSNet's protocol: its 400 pixels).",
            show_default="full resolution",
            rich_help_panel=FSS,
        ),
    ] = None,
    ood: Annotated[
        Path | None,
        typer.Option(help="Text file naming the out-of-distribution classes, one a line.", rich_help_panel=FSS),
    ] = None,
    segmenter: flags.SegmenterName = None,
    segmenter_weights: flags.SegmenterWeights = None,
    backbone: flags.Backbone = None,
    segmenter_size: flags.SegmenterSize = None,
    device: flags.Device = "auto",
    seed: flags.Seed = 0,
    config: flags.Config = None,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
) -> None:
    """Measure mask quality, or few-shot segmentation with and without the samples ([bold]→ results/[/]).

    Writes metrics.json, table.md and report.html. With --protocol fss, rows are those of the paper's Table 2: the real
    support alone (1R), with plain samples and their coarse masks, with plain samples and refined masks, and with all.

    [dim]aligndiff evaluate --protocol fss --support support/ --query query/ --masks masks/ --out results/[/]
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
                    support=flags.needed(support, "--support", protocol),
                    query=flags.needed(query, "--query", protocol),
                    masks=masks,
                    out=out,
                    synthetic=synthetic,
                    beta=beta,
                    queries=queries,
                    compare_size=compare_size,
                    ood=ood,
                    segmenter=SegmenterChoice(segmenter, segmenter_weights, backbone, segmenter_size),
                    device=device,
                    seed=seed,
                )
            )
        raise UsageError(f"--protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}")

    run(stage, force=force, quiet=quiet)
