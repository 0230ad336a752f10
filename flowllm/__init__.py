"""FlowLLM: crystals from a language model, refined by Riemannian flow matching."""
