"""The stages of an evaluation, one function each: a `Work` in, a `StageResult` out."""
