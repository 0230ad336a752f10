from IPython.display import Markdown

from flowllm.teaching.remarks import remark


def test_what_is_seen_is_said_and_what_is_not_is_left_out():
    said, left_out = remark(True, "The *loss* falls."), remark(False, "The *loss* falls.")
    assert isinstance(said, Markdown) and said.data == "The *loss* falls."
    assert "too small" in left_out.data and "loss" not in left_out.data
