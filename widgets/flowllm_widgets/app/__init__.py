"""The app: every part of the workbench on one page, without code; `flowllm app` opens it."""
