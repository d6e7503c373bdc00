"""The frame of the report: no script, no font and no picture from elsewhere (see its policy)."""

_CSS = """
:root { color-scheme: light dark; --ink: #1c1c1e; --soft: #5f6368; --paper: #fcfcfa;
  --line: #d9d9d6; --tint: #f2f1ec; --link: #0b5cad; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e3; --soft: #a3a09b; --paper: #17181a;
  --line: #3a3b3e; --tint: #212327; --link: #7ab7ff; } }
body { margin: 0 auto; max-width: 70em; padding: 2em 1.5em 4em; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.9em; line-height: 1.2; margin: 0 0 .5em; }
h2 { font-size: 1.3em; margin: 2.2em 0 .6em; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05em; margin: 0 0 .6em; }
.lead { font-size: 1.1em; max-width: 48em; }
li { max-width: 48em; margin: .2em 0; }
code { font: .88em ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; }
.commands code { display: block; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88em; width: 100%;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .45em .7em;
  border-bottom: 1px solid var(--line); }
th { background: var(--tint); white-space: nowrap; }
.side-by-side { min-width: 68em; font-size: .82em; }
.verdict { padding: .8em 1.2em .8em 2.2em; background: var(--tint); border-radius: 6px; }
.verdict li { font-size: 1.05em; max-width: 52em; margin: .5em 0; }
.waiting { color: var(--soft); font-size: .85em; }
details { margin: 1em 0; }
details > summary { cursor: pointer; color: var(--link); margin-bottom: .6em; }
.value { white-space: nowrap; }
.side-by-side th { white-space: normal; }
.runs td { white-space: nowrap; }
td div + div { margin-top: .35em; }
small { color: var(--soft); }
.missing { color: var(--soft); font-style: italic; }
figure { margin: 0 0 3em; }
figure .scroll { background: #fff; border: 1px solid var(--line); border-radius: 6px;
  padding: .6em; text-align: center; }
figure svg { display: block; margin: 0 auto; max-width: 100%; height: auto; }
figcaption { margin-top: .6em; font-size: .92em; max-width: 56em; }
.origin { color: var(--soft); }
@media print { body { max-width: none; } figure { break-inside: avoid; } }
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<link rel="icon" href="data:,">
<title>$title</title>
<style>{_CSS}</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
"""
