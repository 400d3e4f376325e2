"""How the page of a chain looks: on a screen, on a phone, in the dark and on paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ground: #f6f7f9; --card: #fff; --ink: #1b1e24; --soft: #5a6270; --line: #dfe3e8;
  --accent: #1f62c9; --warn: #fff4d6; --warn-line: #e2b53c; --code: #eef1f5; }
@media (prefers-color-scheme: dark) { :root { --ground: #14161a; --card: #1d2026; --ink: #e7eaef; --soft: #a0a8b4;
  --line: #343a44; --accent: #7fb0ff; --warn: #33290f; --warn-line: #a17c1d; --code: #262b33; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, sans-serif;
  overflow-wrap: anywhere; }
header, main, footer { max-width: 94rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2.5rem; } main > section { margin-top: 3rem; } footer { padding-block: 3rem 2rem; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: 0; letter-spacing: -.02em; } h2 { font-size: 1.5rem;
margin: 0 0 1rem; }
h3 { font-size: 1.2rem; margin: 0; } h4 { font-size: 1rem; margin: 1.6rem 0 .7rem; } p { margin: .5rem 0; }
a { color: var(--accent); text-underline-offset: .15em; }
.soft, footer { color: var(--soft); } .lead { font-size: 1.1rem; color: var(--soft); margin: .4rem 0 1.4rem; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin-top: 1.2rem; } nav.many { font-size: .9rem; }
.steps { display: flex; flex-wrap: wrap; gap: .6rem; list-style: none; margin: 0; padding: 0; }
.steps li { background: var(--card); border: 1px solid var(--line); border-radius: .7rem; padding: .55rem .95rem; }
.steps b { display: block; font-size: 1.25rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.steps span { color: var(--soft); font-size: .85rem; } .steps .none { border-style: dashed; background: none; }
.steps .none b { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 1rem; padding: 1.3rem 1.5rem 1.5rem;
  margin: 0 0 1.5rem; }
.missing { background: var(--warn); border-color: var(--warn-line); } .missing p { margin: .9rem 0 .3rem; }
.facts { display: flex; flex-wrap: wrap; gap: .1rem 1.6rem; margin: .35rem 0 1.1rem; color: var(--soft);
  font-size: .92rem; } .facts b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
.row { display: grid; grid-template-columns: repeat(5, minmax(0, 1fr)); gap: 1.1rem; }
.cell h4 { margin: 0 0 .45rem; font-size: .95rem; } .cell figure { margin: 0; }
.key { display: inline-block; width: .8em; height: .8em; border-radius: .2em; margin-right: .4em; }
img { display: block; width: 100%; height: auto; border-radius: .5rem; background: var(--code); }
.big img { max-height: 26rem; object-fit: contain; }
figcaption { color: var(--soft); font-size: .82rem; line-height: 1.4; margin-top: .35rem; }
.strip { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .4rem; margin-top: .55rem; }
.strip img { border-radius: .3rem; }
.none-yet { border: 1px dashed var(--line); border-radius: .5rem; color: var(--soft); font-size: .9rem;
  display: grid; place-items: center; text-align: center; min-height: 7rem; padding: 1rem; }
details { margin-top: .55rem; } .row + details { margin-top: 1.2rem; } summary { cursor: pointer;
color: var(--accent); font-weight: 600; width: fit-content; }
.many-pictures { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 25rem), 1fr)); }
.many-pictures.of-scenes { grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
.many-pictures figure { margin: 0; }
.settings { display: flex; flex-wrap: wrap; gap: 0 3.5rem; } .settings .wide { max-width: 100%; }
.wide { overflow-x: auto; margin: 1rem 0; -webkit-overflow-scrolling: touch; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93rem; }
table { overflow-wrap: break-word; }
th, td { padding: .42rem 1.2rem .42rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; max-width: 12rem; line-height: 1.3; }
td { max-width: 32rem; } td:first-child { min-width: 8rem; } .number { text-align: right; white-space: nowrap; }
th.number { white-space: normal; }
tr.changed td { font-weight: 600; }
.charts { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); }
.charts figure { margin: 0; }
pre { background: var(--code); border-radius: .6rem; padding: .8rem 1.1rem; margin: .3rem 0; white-space: pre-wrap;
  font: .88rem/1.55 ui-monospace, monospace; user-select: all; }
pre code { display: block; font: inherit; padding: .25rem 0 .25rem 2.5ch; text-indent: -2.5ch; }
pre span { white-space: nowrap; }
code { font: .92em ui-monospace, monospace; }
@media (max-width: 1000px) { .row { grid-template-columns: repeat(6, minmax(0, 1fr)); } .cell { grid-column: span 2; }
  .cell:nth-child(n + 4) { grid-column: span 3; } }
@media (max-width: 620px) { header, main, footer { padding-inline: 1rem; } header { padding-top: 1.5rem; }
  h1 { font-size: 1.6rem; } .card { padding: 1rem; border-radius: .8rem; } .row { gap: .9rem .7rem; }
  .cell, .cell:nth-child(n + 4) { grid-column: span 3; } .cell:last-child { grid-column: 1 / -1; }
  .steps li { padding: .4rem .7rem; } }
@media print { :root { color-scheme: light; --ground: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb;
    --accent: #000; --warn: #fff; --warn-line: #888; --code: #f3f3f3; }
  @page { margin: 12mm; } body { font-size: 10pt; } header, main, footer { max-width: none; padding: 0; }
  footer { padding-top: 1rem; }
  nav, details:not([open]) { display: none; } main > section { margin-top: 1.5rem; }
  .wide { overflow: visible; } table { font-size: 8pt; } th, td { padding-right: .6rem; }
  .number { white-space: normal; }
  .cell h4 { font-size: 8.5pt; white-space: nowrap; } figcaption { font-size: 7.5pt; } pre { font-size: 8pt; }
  .charts { grid-template-columns: 1fr 1fr; }
  .row { grid-template-columns: repeat(5, minmax(0, 1fr)); gap: .6rem; }
  .cell, .cell:nth-child(n + 4), .cell:last-child { grid-column: auto; }
  .card { padding: .7rem .9rem; } .card, tr, figure { break-inside: avoid; } h2, h3, h4 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
""".strip()
