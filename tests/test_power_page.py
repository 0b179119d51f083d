"""docs/power.md shows what the code does: what is drawn in it is drawn anew and compared."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_what_the_page_on_power_shows_is_what_the_machines_do() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "draw_power.py"))
    page = (ROOT / "docs" / "power.md").read_text(encoding="utf-8")
    assert page.count("<!-- drawn: ") == len(script["DRAWN"])
    assert script["drawn_page"](page) == page, "run python scripts/draw_power.py"
