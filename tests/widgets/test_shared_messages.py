import pytest

from flowllm.errors import InputError
from flowllm_widgets.shared.messages import MessageLine, shows_errors


class Widget:
    def __init__(self):
        self.message = MessageLine()

    @shows_errors
    def on_click(self, what=None):
        """Docstring of the method."""
        if what is not None:
            raise what
        return "done"


def test_a_callback_that_succeeds_returns_its_value_and_says_nothing():
    widget = Widget()
    assert widget.on_click() == "done"
    assert (widget.message.text, widget.message.value) == ("", "")
    assert widget.on_click.__doc__ == "Docstring of the method."


def test_bad_input_is_told_in_its_own_words_without_a_traceback():
    widget = Widget()
    assert widget.on_click(InputError("unknown element 'Xx'")) is None
    assert widget.message.text == "unknown element 'Xx'"
    assert "Traceback" not in widget.message.value
    assert 'role="alert"' in widget.message.value


def test_an_unexpected_error_names_its_kind_and_keeps_its_traceback_folded():
    widget = Widget()
    widget.on_click(ZeroDivisionError("division by zero"))
    assert widget.message.text == "ZeroDivisionError: division by zero"
    folded = widget.message.value.partition("<details>")[2]
    assert "on_click" in folded


@pytest.mark.parametrize("error", [KeyError(), ValueError()])
def test_an_error_without_words_is_still_seen(error):
    widget = Widget()
    widget.on_click(error)
    assert type(error).__name__ in widget.message.text


def test_what_an_error_says_is_shown_as_text_never_as_markup():
    widget = Widget()
    widget.on_click(InputError("<script>alert(1)</script> & <b>bold</b>"))
    assert "<script>" not in widget.message.value
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;" in widget.message.value


def test_a_status_is_polite_and_a_warning_is_not():
    line = MessageLine()
    line.say("sampling")
    assert 'role="status"' in line.value
    line.warning("outside the training range")
    assert 'role="alert"' in line.value and "warning" in line.value
    line.clear()
    assert (line.text, line.kind, line.value) == ("", "", "")
