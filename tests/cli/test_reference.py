"""docs/cli.md is what the commands say."""

from __future__ import annotations

from scripts.cli_reference import TARGET, reference

from spikewright.cli import main


def test_the_page_is_up_to_date() -> None:
    """Generated from the commands: `python scripts/cli_reference.py` writes it anew."""
    assert TARGET.read_text(encoding="utf-8") == reference()


def test_every_command_and_option_is_on_the_page() -> None:
    """Nothing can be called that the page leaves out."""
    page = TARGET.read_text(encoding="utf-8")

    for name, command in main.commands.items():
        section = page.partition(f"## `spikewright {name}`")[2].partition("\n## ")[0]
        assert section
        for parameter in command.params:
            assert all(option in section for option in parameter.opts if option.startswith("--"))
