"""docs/inputs.md is true: its example runs, and shapes of its table are taken."""

from __future__ import annotations

from pages import Page

PAGE = Page("inputs.md")


def test_the_example_prints_what_is_printed_below_it() -> None:
    """Executed as it stands; every character counts."""
    printed, names = PAGE.run()

    assert printed == PAGE.printed
    conversion, user, item = (names[name] for name in ("conversion", "user", "item"))
    whole = conversion.run((user, item), steps=4, progress=False).predict().tolist()
    for x in (
        {"user": user, "item": item},
        (user[:, None], item[:, None]),
        ([[u] * 4 for u in user.tolist()], [[i] * 4 for i in item.tolist()]),
    ):
        named = x if isinstance(x, dict) else dict(zip(("user", "item"), x, strict=True))
        assert conversion.run(named, steps=4, progress=False).predict().tolist() == whole
