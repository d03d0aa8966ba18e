"""Charts of our own in W&B, as Vega-Lite: ``${field:x}`` and ``${string:x}`` are what a panel fills in.

They are presets of an account: `metarec dashboard --save` puts them there, and panels name them ENTITY/NAME.
"""

from typing import Any

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
OF_METRIC = {"filter": {"field": "${field:metric}", "equal": "${string:metric}"}}


def _chart(title: str, **parts: Any) -> Spec:
    """What all charts share."""
    return {"$schema": SCHEMA, "title": title, "data": {"name": "wandb"}, "width": "container", **parts}


def _ends(channel: str, zero: bool) -> Spec:
    """An interval on a channel, which need not show 0."""
    low = {"field": "${field:low}", "type": "quantitative", "scale": {"zero": zero}}
    return {channel: low, f"{channel}2": {"field": "${field:high}"}}


def _band(title: str, x: Spec, y: str, transform: list[Spec], below: list[Spec], zero: bool) -> Spec:
    """Lines with bands, a colour a run."""
    color = {"field": "name", "type": "nominal", "title": "run"}
    mean = {"field": "${field:mean}", "type": "quantitative", "title": y, "scale": {"zero": zero}}
    return _chart(
        title,
        transform=transform,
        layer=[
            *below,
            {"mark": {"type": "area", "opacity": 0.15}, "encoding": {"x": x, **_ends("y", zero), "color": color}},
            {"mark": {"type": "line", "point": True}, "encoding": {"x": x, "y": mean, "color": color}},
        ],
    )


BY_MEAN = {
    "field": "${field:method}",
    "type": "nominal",
    "title": None,
    "sort": {"field": "${field:mean}", "op": "min"},
}
NO_GAIN = {"data": {"values": [{}]}, "mark": {"type": "rule", "strokeDash": [4, 4]}, "encoding": {"y": {"datum": 0}}}

DOT_PLOT = _chart(
    "${string:metric}: mean over test users and 95 % interval",
    transform=[OF_METRIC],
    encoding={"y": BY_MEAN},
    layer=[
        {"mark": "rule", "encoding": _ends("x", False)},
        {
            "mark": {"type": "point", "filled": True, "size": 70},
            "encoding": {"x": {"field": "${field:mean}", "type": "quantitative", "title": "${string:metric}"}},
        },
    ],
)
"""A dot and its interval a method, from the records of a table."""

GAIN_BY_SUPPORT = _band(
    "gain by adaptation over support size, with 95 % intervals over users",
    {"field": "${field:support_size}", "type": "quantitative", "title": "support ratings"},
    "gain",
    [],
    [NO_GAIN],
    True,
)
"""From the table `support_gain` of a run, see `metarec.tracking.charts.gain_by_support`."""

K_SHOT = _band(
    "${string:metric} over the number of ratings adapted to",
    {"field": "${field:k}", "type": "quantitative", "scale": {"type": "symlog"}, "title": "k"},
    "${string:metric}",
    [OF_METRIC],
    [],
    False,
)
"""From the table `k_shot` of a run."""

PRESETS: dict[str, Spec] = {
    "metarec-dot-plot": DOT_PLOT,
    "metarec-gain-by-support": GAIN_BY_SUPPORT,
    "metarec-k-shot": K_SHOT,
}
"""By the name of the preset."""
