"""How a model is trained; light to import."""

from typing import Literal

from pydantic import Field

from graft.vision.options import Options


class FineTuningOptions(Options):
    """Strategy, length, rates and guards of one training."""

    strategy: Literal["probe", "lp_ft", "full", "gradual", "norm_and_bias", "scratch"] = "lp_ft"
    """Which stages learn, and from what: ``lp_ft`` starts from the probe's head and lets all
    stages learn at rates that decay with their distance from it."""
    frozen_stages: int = Field(default=0, ge=0)
    """Stages that never learn, counted from the stem: general enough, and dear to train."""
    stored_views: int = Field(default=0, ge=0)
    """Where stages are frozen: views of each training image that are drawn once and met in turn,
    epoch by epoch. What the frozen stages give of them is stored, and training starts from there.
    0 draws anew in each epoch, and stores nothing."""
    sizes_px: tuple[int, ...] | None = Field(default=None, strict=False, min_length=1)
    """Sides that views are shrunk to, over equal parts of the epochs (progressive resizing);
    validation sees whole views. None trains at the size of the view throughout."""
    epochs: int = Field(default=12, ge=1)
    budget_s: float | None = Field(default=None, gt=0)
    """Wall-clock limit: fewer epochs are planned when it would not be met."""
    batch_size: int = Field(default=16, ge=1)
    accumulate: int = Field(default=1, ge=1)
    """Batches whose gradients make one step."""
    learning_rate: float = Field(default=5e-4, gt=0)
    layer_decay: float = Field(default=0.8, gt=0, le=1)
    weight_decay: float = Field(default=0.02, ge=0)
    l2_sp: float = Field(default=0.0, ge=0)
    """Pull of the backbone towards the weights it started from (Li et al., 2018), decoupled from
    the gradient as AdamW's weight decay is; times the rate, the share of the way back per step."""
    warmup_share: float = Field(default=0.1, ge=0, lt=1)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_balance: Literal["none", "weights", "sampling"] = "none"
    mixup_alpha: float = Field(default=0.0, ge=0)
    cutmix_alpha: float = Field(default=0.0, ge=0)
    ema_decay: float | None = Field(default=0.99, gt=0, lt=1)
    patience: int | None = Field(default=None, ge=1)
    """Epochs without a better validation score before training stops."""
    batch_norm: Literal["frozen", "moves"] = "frozen"
    """Whether BatchNorm uses and updates batch statistics where its stage learns."""
    gradient_clip: float | None = Field(default=1.0, gt=0)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    divide_batch_norm: bool = False
    """Where memory does not hold a batch it is computed in parts, and gradients stay as they were.
    BatchNorm that learns from each batch would learn from each part, which is other mathematics:
    then training stops, unless this is true."""
    workers: int | None = Field(default=None, ge=0)
    """What augments ahead of the steps: threads, and for a CUDA device processes; 0 augments
    between the steps. None is 2 threads; for a CUDA device as many as cores allow, at most 16,
    which are threads where a training is too short to start processes for."""
    compile: Literal["auto", "never", "always"] = "auto"
    """Whether torch compiles the forward and backward pass that a CUDA device is launched with as
    graphs; ``auto`` where there are steps enough to pay for it (`captured.COMPILING_PAYS`)."""
