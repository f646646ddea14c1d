"""The README tells every setting, and both languages tell the same ones."""

from pathlib import Path

import pytest

from data.settings import Settings

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", Settings.model_fields)
@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_each_setting_stands_in_the_readme(name, readme):
    assert f"`LEADMATCH_{name.upper()}`" in (ROOT / readme).read_text(encoding="utf-8")
