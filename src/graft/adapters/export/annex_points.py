"""What the EU AI Act's Annex IV asks, point by point, and where each answer is found.

Regulation (EU) 2024/1689, Annex IV; in short words of our own. A skeleton that shows what is
measured, what is declared and what is missing; whether it suffices is for people to say.
"""

from dataclasses import dataclass

from graft.adapters.export import LINEAGE, REGISTERED, reading, scores, takes
from graft.adapters.export.facts import STATED, Find, declared, recorded, taken
from graft.adapters.lineage import IMAGES


@dataclass(frozen=True)
class Asked:
    """One line of the documentation."""

    name: str
    """The sub-point, then a word for it."""
    words: str
    find: Find


IMAGES_TABLE = f"{LINEAGE}/{IMAGES}"
PREDICTIONS = f"{LINEAGE}/{scores.PREDICTIONS}"
CARD = f"{REGISTERED}/{reading.CARD}"

POINTS: dict[str, tuple[str, tuple[Asked, ...]]] = {
    "1": ("General description", (
        Asked("a_intended_purpose", "what it is for", declared("intended_purpose")),
        Asked("a_not_intended_for", "what it is not for", declared("not_intended_for")),
        Asked("a_provider", "who provides it", declared("provider")),
        Asked("a_responsible_person", "who answers for it", declared("responsible_person")),
        Asked("a_name", "name and version", taken("lineage/version.json: model, version",
              lambda e, m: e.name)),
        Asked("a_previous", "what it replaced", taken("lineage/ledger.jsonl", takes.replaced)),
        Asked("b_interaction", "hardware and software around it", declared("interaction")),
        Asked("c_software", "software and its pins, as digest", recorded("lock.sha256")),
        Asked("c_packages", "how many packages are pinned", taken(
              "lineage/requirements.lock", takes.packages)),
        Asked("d_market_form", "in which form it is given away", declared("market_form")),
        Asked("e_target_hardware", "hardware that it is to run on", declared("target_hardware")),
        Asked("f_pictures", "pictures of the product", declared("product_pictures")),
        Asked("g_user_interface", "what its users see", declared("user_interface")),
        Asked("h_instructions", "instructions for use", declared("instructions")),
    )),
    "2": ("Elements and development", (
        Asked("a_steps", "steps of development, with the run of each", taken(
              "lineage/lineage.json: stages", takes.steps)),
        Asked("a_backbone", "the pre-trained part", recorded("backbone.architecture")),
        Asked("a_backbone_sha256", "its digest", recorded("backbone.sha256")),
        Asked("a_backbone_origin", "its origin", recorded("backbone.origin", STATED)),
        Asked("a_backbone_licence", "its licence", recorded("backbone.licence", STATED)),
        Asked("a_backbone_data", "what it was pre-trained on",
              recorded("backbone.pretrained_on", STATED)),
        Asked("a_parent", "the version that it was trained from", recorded("parent")),
        Asked("b_task", "what it tells", taken(f"{CARD}: task", lambda e, m: e.card["task"])),
        Asked("b_classes", "what it can tell apart", taken(f"{CARD}: classes.names",
              lambda e, m: e.card["classes"]["names"])),
        Asked("b_optimised", "how it was trained", taken(f"{CARD}: strategy, facts.options",
              takes.training)),
        Asked("b_design_choices", "choices and why", declared("design_choices")),
        Asked("c_architecture", "what it is built of", taken(f"{CARD}: backbone, task_options",
              takes.architecture)),
        Asked("c_compute", "machine of the training", recorded("machine")),
        Asked("c_epochs", "epochs of each training", recorded("epochs")),
        Asked("d_origin", "where the images come from", declared("data_origin")),
        Asked("d_licence", "licence of the images", declared("data_licence")),
        Asked("d_collection", "how they were obtained and chosen", declared("data_collection")),
        Asked("d_annotation", "who labelled, by which rules", declared("data_annotation")),
        Asked("d_personal_data", "persons in the images", declared("personal_data")),
        Asked("d_images", "images of each split", taken(IMAGES_TABLE,
              lambda e, m: e.images and e.images["by_split"])),
        Asked("d_data_sha256", "digest of each split", taken(IMAGES_TABLE,
              lambda e, m: e.images and e.images["sha256_by_split"])),
        Asked("d_classes", "images of each class", taken(IMAGES_TABLE,
              takes.classes)),
        Asked("d_cleaning", "what was refused or found", taken(
              "lineage/quality_report.json: quarantined, findings", takes.cleaning)),
        Asked("d_preparation", "augmentation as executed, as digest",
              recorded("augmentation.sha256")),
        Asked("e_oversight", "oversight by people", declared("human_oversight")),
        Asked("f_planned_changes", "changes decided beforehand", declared("planned_changes")),
        Asked("g_scores", "scores with intervals", taken(PREDICTIONS, takes.scores)),
        Asked("g_by_class", "scores of each class", taken(PREDICTIONS, lambda e, m: m.by_class)),
        Asked("g_by_slice", "score of each slice", taken(PREDICTIONS, takes.slices)),
        Asked("g_test_set", "digest of the test set", taken(IMAGES_TABLE,
              takes.test_set)),
        Asked("g_verdict", "verdict over the contenders", taken(
              "lineage/verdict.json: sentences", takes.verdict)),
        Asked("g_discrimination", "effects on persons or groups", declared("discrimination")),
        Asked("g_report", "the last decision that rests on tests", taken(
              "lineage/ledger.jsonl", takes.decided)),
        Asked("h_cybersecurity", "how it is kept safe", declared("cybersecurity")),
        Asked("h_bytes", "digest of the registered bytes", taken("registered/", takes.bytes_)),
    )),
    "3": ("Monitoring, functioning and control", (
        Asked("accuracy", "the score that decides", taken(PREDICTIONS, takes.primary)),
        Asked("weakest_class", "the class that it tells worst", taken(PREDICTIONS, takes.weakest)),
        Asked("overfitting", "signs of overfitting", taken(f"{CARD}: facts.overfitting",
              takes.overfitting)),
        Asked("limits", "known defects of the images", declared("data_defects")),
        Asked("risks", "foreseeable unwanted outcomes", declared("foreseeable_risks")),
        Asked("oversight", "oversight by people", declared("human_oversight")),
        Asked("input_view", "images as it takes them", taken(f"{CARD}: preprocessing",
              lambda e, m: e.card["preprocessing"])),
        Asked("input_requirements", "what inputs must be", declared("input_requirements")),
    )),
    "4": ("Fitness of the performance metrics", (
        Asked("metric_choice", "why the scores fit the purpose", declared("metric_choice")),
    )),
    "5": ("Risk management", (
        Asked("risk_management", "the system of it", declared("risk_management")),
    )),
    "6": ("Changes through the lifecycle", (
        Asked("decisions", "promotions, refusals, rollbacks", taken(
              "lineage/ledger.jsonl", takes.decisions)),
        Asked("changes", "other changes", declared("lifecycle_changes")),
    )),
    "7": ("Harmonised standards", (
        Asked("standards", "standards that were applied", declared("standards")),
    )),
    "8": ("EU declaration of conformity", (
        Asked("declaration", "where it is", declared("conformity_declaration")),
    )),
    "9": ("Monitoring after it is in use", (
        Asked("plan", "the plan of it", declared("monitoring_plan")),
    )),
}  # fmt: skip
