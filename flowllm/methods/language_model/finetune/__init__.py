"""Pretrained causal language models: loaded, fine-tuned with LoRA, merged."""
