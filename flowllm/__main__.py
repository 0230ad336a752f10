"""`python -m flowllm`, the same as `flowllm`."""

from flowllm.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
