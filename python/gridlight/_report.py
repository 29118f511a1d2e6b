"""A run as a notebook shows it: its metrics, its curves, and its report in a frame of its own.

Nothing here runs a script, and styles do not leave the frame.
"""

import html
import math
from typing import Any

#: A longer report is linked, not shown: notebooks keep what they show.
MOST_BYTES = 400_000
WIDTH, HEIGHT, MARGIN = 420, 120, 6


def page(run: Any) -> str:
    """The run as HTML."""
    parts = [f"<div><strong>{html.escape(run.name)}</strong> ({html.escape(run.state)})</div>"]
    metrics = run.metrics
    names = list(dict.fromkeys(name for part in metrics.values() for name in part))
    if names:
        parts.append(_table(metrics, names))
    curves = _curves([(row["train_loss"], row.get("validation_loss")) for row in run.history])
    if curves:
        parts.append(curves)
    parts.append(_report(run.path / "report.html"))
    return "".join(parts)


def _table(metrics: dict[str, dict[str, float]], names: list[str]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    lines = [
        f"<tr><th>{html.escape(part)}</th>"
        + "".join(f"<td>{_shown(values.get(name))}</td>" for name in names)
        + "</tr>"
        for part, values in metrics.items()
    ]
    return f"<table><tr><th></th>{head}</tr>{''.join(lines)}</table>"


def _shown(value: Any) -> str:
    return html.escape(f"{value:.4g}" if isinstance(value, (int, float)) else str(value or ""))


def _curves(losses: list[tuple[Any, Any]]) -> str:
    """Losses by epoch as a small picture."""
    series = [[row[at] for row in losses] for at in (0, 1)]
    known = [x for one in series for x in one if isinstance(x, (int, float)) and math.isfinite(x)]
    if len(losses) < 2 or not known:
        return ""
    low, high = min(known), max(known)
    span = high - low or 1.0

    def line(values: list[Any], color: str) -> str:
        points = [
            f"{MARGIN + at * (WIDTH - 2 * MARGIN) / (len(values) - 1):.1f},"
            f"{HEIGHT - MARGIN - (value - low) * (HEIGHT - 2 * MARGIN) / span:.1f}"
            for at, value in enumerate(values)
            if isinstance(value, (int, float)) and math.isfinite(value)
        ]
        return f'<polyline points="{" ".join(points)}" fill="none" stroke="{color}" stroke-width="1.5"/>'

    drawn = line(series[0], "#8a8a8a") + line(series[1], "#1f77b4")
    legend = f"loss by epoch, {low:.4g} to {high:.4g}: training (grey), validation (blue)"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{html.escape(legend)}">{drawn}</svg><div><small>{html.escape(legend)}</small></div>'
    )


def _report(path: Any) -> str:
    """The report, in a frame that runs no script."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return ""
    place = html.escape(str(path))
    if len(text) > MOST_BYTES:
        return f"<div><small>the report: {place}</small></div>"
    return (
        f"<details><summary>the report ({place})</summary>"
        f'<iframe sandbox="" srcdoc="{html.escape(text)}" style="width: 100%; height: 480px; border: 0"></iframe></details>'
    )
