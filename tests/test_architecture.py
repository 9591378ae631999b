"""The picture of the rooms is the code's."""

from tests.architecture import PAGE, drawing, reduced, with_drawing


def test_the_picture_is_what_the_code_imports() -> None:
    page = PAGE.read_text()
    assert drawing() in page, "run `make architecture`"
    assert with_drawing(page) == page


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    arrows = {"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}, "d": set[str]()}
    assert reduced(arrows) == {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set()}
