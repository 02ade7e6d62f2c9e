"""Mixup and cutmix: shapes stay, and the share of the loss is the share of what is seen."""

import numpy as np
import pytest
import torch
from tiny_training import new_training, options_of

from graft.vision.contenders.ground import Ground
from graft.vision.errors import OptionsError
from graft.vision.training.mixing import Mix, check_mixing, mix_views


def views(count: int = 6) -> torch.Tensor:
    """Image i is i * 40 everywhere."""
    levels = (torch.arange(count) * 40).to(torch.uint8)
    return levels.view(-1, 1, 1, 1).expand(count, 3, 20, 24).clone()


def mixed(seed: int = 0, **alphas: float) -> Mix:
    found = mix_views(views(), options_of(**alphas), np.random.default_rng(seed))
    assert found is not None
    assert found.views.shape == views().shape
    assert found.views.dtype == torch.uint8
    assert sorted(found.partner) == list(range(6))
    assert 0 <= found.share <= 1
    return found


@pytest.mark.parametrize("seed", range(8))
def test_mixup__shows_the_share_of_each_image_in_every_pixel(seed: int) -> None:
    mix = mixed(seed, mixup_alpha=0.8)
    own, other = views().float(), views()[mix.partner].float()
    wanted = mix.share * own + (1 - mix.share) * other
    assert (mix.views.float() - wanted).abs().max() <= 0.5 + 1e-4


@pytest.mark.parametrize("seed", range(8))
def test_cutmix__pastes_one_box_of_the_partner_with_its_share(seed: int) -> None:
    mix = mixed(seed, cutmix_alpha=1.0)
    for i, partner in enumerate(mix.partner):
        if partner == i:
            continue
        pasted = (mix.views[i] == 40 * partner).all(dim=0)
        assert ((mix.views[i] == 40 * i).all(dim=0) | pasted).all()
        assert pasted.float().mean().item() == pytest.approx(1 - mix.share)
        rows, columns = pasted.any(dim=1).sum(), pasted.any(dim=0).sum()
        assert rows * columns == pasted.sum()


def test_mixing__is_off_by_default_and_for_a_single_image() -> None:
    generator = np.random.default_rng(0)
    assert mix_views(views(), options_of(), generator) is None
    assert mix_views(views(1), options_of(mixup_alpha=1.0), generator) is None


def test_mixing__uses_both_kinds_when_both_are_on() -> None:
    seen = set()
    for seed in range(30):
        levels = mixed(seed, mixup_alpha=1.0, cutmix_alpha=1.0).views[1].unique()
        seen.add("blend" if len(levels) == 1 and levels[0] % 40 else "box")
    assert seen == {"blend", "box"}


def test_training__weighs_both_truths_by_the_share(ground: Ground) -> None:
    training = new_training(ground, mixup_alpha=1.0)
    batch = next(training.batches.epoch(0))
    training.model.eval()
    with torch.no_grad():
        mix = mix_views(batch.views, training.options, np.random.default_rng(3))
        assert mix is not None
        found = training.gradients._loss(batch, mix)
        logs = training.model(mix.views).log_softmax(1)
    own = torch.stack([torch.from_numpy(truth["targets"]) for truth in batch.truths])
    soft = mix.share * own + (1 - mix.share) * own[mix.partner]
    assert found.item() == pytest.approx(-(soft * logs).sum(1).mean().item(), rel=1e-5)


@pytest.mark.parametrize("place", ["boxes_xyxy", "mask"])
def test_mixing__is_refused_for_truths_at_places(place: str) -> None:
    truth = {"targets": np.ones(3, np.float32), place: np.zeros((1, 4))}
    with pytest.raises(OptionsError, match=r"found: fine_tuning.cutmix_alpha: 0.5; allowed: 0 "):
        check_mixing(options_of(cutmix_alpha=0.5), truth)
    check_mixing(options_of(), truth)
    check_mixing(options_of(cutmix_alpha=0.5), {"targets": truth["targets"]})
