"""Every metric is declared in one place, and named as operators will look for it."""

import ast
import re
from pathlib import Path

import lienthong
from lienthong import metrics

FORM = re.compile(r"lienthong_[a-z]+(_[a-z]+)*(_total|_seconds|_records|_bytes)")
CLASSES = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}


def samples() -> dict[str, str]:
    """Give each metric's name as scraped, with its type."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family.type
        for family in metrics.REGISTRY.collect()
    }


def test_names_are_a_noun_what_happened_to_it_and_a_unit():
    assert [name for name in samples() if not FORM.fullmatch(name)] == []


def test_what_is_counted_up_is_a_total_and_nothing_else_is():
    wrong = [name for name, kind in samples().items() if name.endswith("_total") != (kind == "counter")]
    assert wrong == []


def test_every_metric_says_what_it_is():
    silent = [family.name for family in metrics.REGISTRY.collect() if not family.documentation.endswith(".")]
    assert silent == []


def test_operators_are_told_when_to_look_at_each():
    page = (Path(__file__).parents[2] / "docs/operate/README.md").read_text(encoding="utf-8")
    assert [name for name in samples() if f"`{name}`" not in page] == []


def test_durations_are_counted_from_milliseconds_to_an_hour():
    assert (metrics.SECONDS[0], metrics.SECONDS[-1]) == (0.005, 3600)
    assert list(metrics.SECONDS) == sorted(set(metrics.SECONDS))


def test_no_label_could_hold_a_citizens_data():
    known = {"topic", "group", "rule", "code", "kind", "field", "outcome"}
    labels = {
        metric: set(metric._labelnames) for metric in vars(metrics).values() if hasattr(metric, "_labelnames")
    }
    assert len(labels) == len(samples())
    assert [str(metric) for metric, names in labels.items() if not names <= known] == []


def test_no_other_module_declares_a_metric():
    package = Path(lienthong.__file__).parent
    declaring = [
        f"{module.relative_to(package)}:{found.lineno}"
        for module in package.rglob("*.py")
        for found in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(found, ast.ImportFrom)
        and found.module == "prometheus_client"
        and CLASSES & {name.name for name in found.names}
    ]
    assert [place for place in declaring if not place.startswith("metrics.py:")] == []
    assert declaring != []
