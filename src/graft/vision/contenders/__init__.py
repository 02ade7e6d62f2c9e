"""How each contender is made: the probe, the fine-tuned model, the control from scratch.

All of them end as a `TrainedModel` with a card, so that evaluation meets them on equal terms.
"""
