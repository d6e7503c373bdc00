"""W&B, offline unless asked otherwise: the only package that imports wandb."""
