"""``aligndiff prepare``: a data set -> the folders the stages read."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from aligndiff_cli.cli import flags
from aligndiff_cli.cli.flags import FOLDERS, METHOD
from aligndiff_cli.cli.interrupts import work_begins
from aligndiff_cli.cli.session import announced, bar, console, errors_reported, output, show_error

NAME = "prepare"
EMOJI = "Data sets of emoji"


def command(
    dataset: Annotated[
        str,
        typer.Argument(
            help="pascal-5i, coco-20i (folds with base and novel classes), fss-1000 (many classes, one object each), "
            "or their likes in emoji: emoji-5i, emoji-fss.",
            rich_help_panel=FOLDERS,
        ),
    ],
    out: flags.Out,
    root: Annotated[
        Path | None,
        typer.Option(
            help="The data set as it is unpacked: VOCdevkit/; COCO's folder of annotations/ and train2017/; FSS-1000's "
            "folder of classes.",
            rich_help_panel=FOLDERS,
        ),
    ] = None,
    sbd: Annotated[
        Path | None,
        typer.Option(
            help="pascal-5i: folder of SBD's label maps (.mat or PNG).",
            show_default="looked for in --root",
            rich_help_panel=FOLDERS,
        ),
    ] = None,
    label_maps: Annotated[
        Path | None,
        typer.Option(
            help="coco-20i, pascal-5i: where label maps made of polygons or .mat files are kept; folds may share it.",
            show_default="<out>/label_maps",
            rich_help_panel=FOLDERS,
        ),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Go on with a data set that is not complete.", rich_help_panel=FOLDERS),
    ] = False,
    fold: Annotated[
        int,
        typer.Option(min=0, max=3, help="Fold, where there are any: which classes are novel.", rich_help_panel=METHOD),
    ] = 0,
    fold_layout: Annotated[
        str,
        typer.Option(
            help="coco-20i: interleaved (every fourth class is novel; HSNet, GAPS, PIFS) or contiguous (SSP).",
            rich_help_panel=METHOD,
        ),
    ] = "interleaved",
    year: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(0),
            help="coco-20i: release 2014 (HSNet, GFS-Seg) or 2017 (GAPS, PIFS).",
            rich_help_panel=METHOD,
        ),
    ] = 2017,
    split: Annotated[
        str, typer.Option(help="fss-1000, emoji-fss: train, val or test.", rich_help_panel=METHOD)
    ] = "test",
    shots: Annotated[
        int, typer.Option(callback=flags.at_least(1), help="Support pairs per class.", rich_help_panel=METHOD)
    ] = 1,
    min_object: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(1),
            help="pascal-5i, coco-20i: fewest pixels of the class in a support picture (the published protocols: 1; "
            "1024 leaves out what COCO calls small).",
            rich_help_panel=METHOD,
        ),
    ] = 1,
    icons: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the artists' npm packages, packed or unpacked.",
            show_default="fetched with npm pack",
            rich_help_panel=EMOJI,
        ),
    ] = None,
    per_class: Annotated[
        int,
        typer.Option(callback=flags.at_least(1), help="emoji-fss: further pictures per class.", rich_help_panel=EMOJI),
    ] = 10,
    scenes: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(1), help="emoji-5i: base scenes, and query scenes.", rich_help_panel=EMOJI
        ),
    ] = 500,
    seed: flags.Seed = 0,
    config: flags.Config = None,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
) -> None:
    """Make support, base and query folders of a data set.

    PASCAL-5i (VOC 2012 with SBD), COCO-20i and FSS-1000 are read as they are unpacked: counts are checked, what is
    missing is named with where it is had, and photographs are linked, not copied. The emoji data sets are rendered; the
    artists' drawings are fetched from the npm registry unless --icons names them. What is drawn follows from the seed.

    [dim]aligndiff prepare pascal-5i --root VOCdevkit/ --fold 3 --shots 1 --out data/pascal-5-3[/]

    [dim]aligndiff prepare emoji-5i --fold 3 --shots 1 --out data/emoji-5-3[/]
    """
    rendered = dataset.startswith("emoji") and not quiet
    with (
        errors_reported(),
        announced(quiet),
        console.status("rendering ...", spinner="dots") if rendered else nullcontext(),
        bar(quiet or rendered) as progress,
    ):
        from aligndiff_cli.stages.prepare import PrepareOptions, prepare

        options = PrepareOptions(
            dataset=dataset,
            out=out,
            icons=icons,
            root=root,
            sbd=sbd,
            label_maps=label_maps,
            fold=fold,
            fold_layout=fold_layout,
            year=year,
            split=split,
            shots=shots,
            per_class=per_class,
            scenes=scenes,
            min_object=min_object,
            partial=partial,
            seed=seed,
        )
        work_begins()
        prepared = prepare(options, progress, force=force)
    for warning in () if quiet else prepared.warnings:
        console.print(f"[yellow]Note[/] {escape(warning)}")
    for problem in prepared.problems:
        show_error(problem, "[yellow]Skipped[/]")
    if not quiet:
        for name, what in prepared.made.items():
            output.print(f"[bold]{escape(str(out / name))}[/]  {escape(what)}")
        support = f"aligndiff invert --images {out}/support --out bank/" if "support" in prepared.made else ""
        following = f" Next: [cyan]{escape(support)}[/]" if support else ""
        output.print(f"{'Already there.' if prepared.kept else 'Made.'}{following}")
    if prepared.problems:
        raise typer.Exit(1)
