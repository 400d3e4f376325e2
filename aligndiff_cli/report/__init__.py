"""Pictures and the page, drawn with Pillow alone: what a person looks at to judge.

========  ===================================================================================================
text      one font, drawable and wrapped words
paint     masks, soft maps and labels on images
sheets    contact sheets: ``inversion_sheet``, ``generation_sheet``, ``mask_sheet``, ``scene_sheet``
charts    ``bar_chart`` of class-wise differences (Figs. A1, A2), ``line_chart`` with error bars (Fig. A12)
page      ``report_page``: one HTML file with tables and pictures
========  ===================================================================================================

Everything takes and gives canonical arrays (:mod:`aligndiff_cli.disk.images`) or text; nothing here reads or writes a
file, and the same input gives the same bytes. Stages choose what is shown, and write it with ``write_png``.
"""
