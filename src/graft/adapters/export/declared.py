"""What no run can measure: what people declare of a case in ``conf/<case>/declared.yml``."""

from pathlib import Path

from graft.adapters.conf import open_conf
from graft.vision.options import Options

Said = str | None


class DeclaredOptions(Options):
    """Facts that a person states; what is left null reads ``unknown`` wherever it is asked for."""

    intended_purpose: Said = None
    not_intended_for: Said = None
    intended_users: Said = None
    provider: Said = None
    responsible_person: Said = None
    model_licence: Said = None
    data_origin: Said = None
    data_licence: Said = None
    data_collection: Said = None
    """How images were obtained and chosen."""
    data_annotation: Said = None
    """Who labelled, by which rules."""
    data_defects: Said = None
    personal_data: Said = None
    interaction: Said = None
    """With hardware and software that are no part of the system."""
    market_form: Said = None
    target_hardware: Said = None
    product_pictures: Said = None
    user_interface: Said = None
    instructions: Said = None
    design_choices: Said = None
    planned_changes: Said = None
    human_oversight: Said = None
    discrimination: Said = None
    cybersecurity: Said = None
    foreseeable_risks: Said = None
    input_requirements: Said = None
    metric_choice: Said = None
    """Why the scores fit the purpose."""
    risk_management: Said = None
    lifecycle_changes: Said = None
    standards: Said = None
    conformity_declaration: Said = None
    monitoring_plan: Said = None


def read_declared(project: Path, case: str) -> DeclaredOptions:
    """What conf declares of a case. Raises `OptionsError` for a wrong name or type."""
    said = open_conf(project / "conf", case)["declared"]
    return DeclaredOptions.parse(dict(said), f"conf: declared.yml of {case}")
