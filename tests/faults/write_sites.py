"""THE TABLE: for every place that writes, every type of dataset and every node, the test that
injects faults into it. A name that is new in the source, the catalog or the registry, and not here,
fails test_write_sites.py."""

WRITERS_KILLED = (
    "faults/test_writers_killed.py::"
    "test_writer__leaves_the_old_value_or_the_new_whenever_it_is_stopped"
)
"""Kills, failures and files cut off at each call that changes a file."""
ROAD_KILLED = (
    "faults/test_nodes_killed.py::test_road__killed_in_each_node_ends_as_if_it_never_had_been"
)
"""Kills in, within the saves of, and after each node."""
EXPORT_KILLED = (
    "faults/test_writers_killed.py::test_export__is_whole_or_not_there_whenever_it_is_stopped"
)
BATCH_KILLED = (
    "vision/data/test_street_scene_batches.py::"
    "test_add_batch__killed_at_any_time_leaves_the_render_and_can_be_repeated"
)
MOVE_KILLED = (
    "adapters/ledger/test_moving.py::test_move__is_completed_or_undone_after_a_kill_at_any_point"
)
STORE_KILLED = (
    "adapters/tracking/test_fresh_store.py::"
    "test_runs__are_not_held_up_by_one_that_died_while_it_made_the_database"
)
JOURNAL_KILLED = (
    "adapters/tracking/test_dead_server.py::"
    "test_delivery__that_is_killed_at_any_request_changes_nothing_in_the_end"
)
BATCH_REFUSED = (
    "vision/training/test_refused.py::"
    "test_image__that_is_no_number_reaches_no_weight_and_no_checkpoint"
)

SITES = {
    "graft.adapters.atomic:atomic_file": WRITERS_KILLED,
    "graft.adapters.atomic:atomic_folder": WRITERS_KILLED,
    "graft.adapters.atomic:recover": WRITERS_KILLED,
    "graft.adapters.atomic:_sweep": WRITERS_KILLED,
    "graft.adapters.atomic:_put": WRITERS_KILLED,
    "graft.adapters.bringing:bring": WRITERS_KILLED,
    "graft.adapters.bringing:_place": WRITERS_KILLED,
    "graft.adapters.bringing:_list": WRITERS_KILLED,
    "graft.adapters.case:_write_overlay": WRITERS_KILLED,
    "graft.adapters.case_settings:main": WRITERS_KILLED,
    "graft.adapters.datasets.artifact:_write_parquet": WRITERS_KILLED,
    "graft.adapters.datasets.artifact:_write_csv": WRITERS_KILLED,
    "graft.adapters.datasets.artifact:_write_json": WRITERS_KILLED,
    "graft.adapters.datasets.artifact:<lambda>": WRITERS_KILLED,
    "graft.adapters.datasets.artifact:ArtifactDataset.save": WRITERS_KILLED,
    "graft.adapters.datasets.folders:FolderDataset.load": WRITERS_KILLED,
    "graft.adapters.datasets.registered_model:RegisteredModelDataset.save": ROAD_KILLED,
    "graft.adapters.datasets.registered_model:_register": ROAD_KILLED,
    "graft.adapters.datasets.registered_model:_complete_run": ROAD_KILLED,
    "graft.adapters.datasets.trained_model:TrainedModelDataset.save": WRITERS_KILLED,
    "graft.adapters.export.gathering:gather": EXPORT_KILLED,
    "graft.adapters.export.gathering:_copy_registered": EXPORT_KILLED,
    "graft.adapters.export.gathering:_write_schemas": EXPORT_KILLED,
    "graft.adapters.export.writing:export_version": EXPORT_KILLED,
    "graft.adapters.ledger.chain:append": WRITERS_KILLED,
    "graft.adapters.ledger.lease:Lease._release": WRITERS_KILLED,
    "graft.adapters.ledger.lease:Lease._write": WRITERS_KILLED,
    "graft.adapters.ledger.lease:Lease._guarded": WRITERS_KILLED,
    "graft.adapters.ledger.mirror:mirror": MOVE_KILLED,
    "graft.adapters.lineage.writing:_place": ROAD_KILLED,
    "graft.adapters.lineage.writing:_keep": WRITERS_KILLED,
    "graft.adapters.packing:pack": WRITERS_KILLED,
    "graft.adapters.packing:unpack": WRITERS_KILLED,
    "graft.adapters.packing:_copy": WRITERS_KILLED,
    "graft.adapters.tracking.journal:Journal.begin": ROAD_KILLED,
    "graft.adapters.tracking.journal:Journal.add": WRITERS_KILLED,
    "graft.adapters.tracking.journal:Journal.mark": ROAD_KILLED,
    "graft.adapters.tracking.journal:Journal.heal": WRITERS_KILLED,
    "graft.adapters.tracking.journal:Journal.drop": JOURNAL_KILLED,
    "graft.adapters.tracking.journal:journals": JOURNAL_KILLED,
    "graft.adapters.tracking.journal:_append": WRITERS_KILLED,
    "graft.adapters.tracking.sending:_send_artifact": ROAD_KILLED,
    "graft.adapters.tracking.store:usable_store": STORE_KILLED,
    "graft.adapters.tracking.store:_locked": STORE_KILLED,
    "graft.adapters.tracking.store:_create_database": STORE_KILLED,
    "graft.adapters.tracking.version:_remember": WRITERS_KILLED,
    "graft.adapters.tracking.waiting:_turn": JOURNAL_KILLED,
    "graft.vision.data.sources.torchvision:_put": WRITERS_KILLED,
    "graft.vision.data.sources.torchvision:export_torchvision": WRITERS_KILLED,
    "graft.vision.data.street_scenes.batch:add_batch": BATCH_KILLED,
    "graft.vision.data.street_scenes.folder:render_folder": BATCH_KILLED,
    "graft.vision.data.street_scenes.folder:_write_all": BATCH_KILLED,
    "graft.vision.data.street_scenes.folder:write_part": BATCH_KILLED,
    "graft.vision.data.street_scenes.folder:_write_scene": BATCH_KILLED,
    "graft.vision.data.street_scenes.folder:write_image": WRITERS_KILLED,
    "graft.vision.data.street_scenes.folder:write_text": WRITERS_KILLED,
    "graft.vision.data.street_scenes.poison:_copy_under_other_labels": BATCH_KILLED,
    "graft.vision.data.street_scenes.poison:_lay_patch": BATCH_KILLED,
    "graft.vision.data.street_scenes.poison:_brighten": BATCH_KILLED,
    "graft.vision.data.street_scenes.replacing:replaced": WRITERS_KILLED,
    "graft.vision.data.street_scenes.replacing:recover": WRITERS_KILLED,
    "graft.vision.model:TrainedModel.save": WRITERS_KILLED,
    "graft.vision.store.arrays:ArrayStore.writer": WRITERS_KILLED,
    "graft.vision.store.arrays:ArrayStore._state_rule": WRITERS_KILLED,
    "graft.vision.store.pruning:_rewrite": WRITERS_KILLED,
    "graft.vision.store.writing:Writer._append": WRITERS_KILLED,
    "graft.vision.store.writing:Writer._open": WRITERS_KILLED,
    "graft.vision.training.checkpoint:Checkpoint.save": WRITERS_KILLED,
    "graft.vision.training.checkpoint:folder_beside": WRITERS_KILLED,
    "graft.vision.training.loop:Training._save": ROAD_KILLED,
    "graft.vision.training.refused:refusal": BATCH_REFUSED,
    "graft.vision.training.refused:RefusedBatch.save": WRITERS_KILLED,
}
"""``module:function`` of each function that changes files which outlive its process."""

SCRATCH = {
    "graft.adapters.lineage.parents:keep_parent": "the checkout in which a version is reproduced",
    "graft.adapters.lineage.rerun:lay_out": "the checkout in which a version is reproduced",
    "graft.adapters.lineage.rerun:_write_overlay": "the checkout in which a version is reproduced",
    "graft.adapters.lineage.reading:artifact_of_run": "a private copy of an artifact of a run",
    "graft.adapters.lineage.writing:write_files": "what `_place` and `_keep` bring to its place",
    "graft.adapters.lineage.writing:_tables": "what `_place` and `_keep` bring to its place",
    "graft.adapters.promotion.clean_process:predict_cleanly": "what is asked of a clean process",
    "graft.adapters.promotion.clean_run:main": "what a clean process answers",
    "graft.adapters.registry:_fetch": "a private copy of a registered model",
    "graft.adapters.tracking.difference:apart": "an index of Git's for one comparison",
    "graft.adapters.tracking.difference:_text": "an index of Git's for one comparison",
    "graft.adapters.tracking.package:pack": "the package that `_register` hands to MLflow",
    "graft.adapters.tracking.package:_copy_code": "the package that `_register` hands to MLflow",
    "graft.adapters.tracking.run:OpenRun.text": "what its journal then copies",
}
"""Functions that write only below a temporary folder which ends with its process, and what."""

DATASETS = {
    "graft.adapters.datasets.ArtifactDataset": WRITERS_KILLED,
    "graft.adapters.datasets.FolderDataset": WRITERS_KILLED,
    "graft.adapters.datasets.TrainedModelDataset": WRITERS_KILLED,
    "graft.adapters.datasets.RegisteredModelDataset": ROAD_KILLED,
    # These write nothing.
    "graft.adapters.datasets.ParentDataset": ROAD_KILLED,
    "graft.adapters.datasets.RawFolderDataset": ROAD_KILLED,
    "MemoryDataset": ROAD_KILLED,
}
"""Each type that the catalog names."""

NODES = dict.fromkeys(
    (
        "describe_backbone", "read_manifest", "find_near_copies", "split_manifest",
        "report_quality", "compose_policy", "check_harmony", "preview_policy", "lay_ground",
        "extract_features", "train_probe", "fine_tune", "train_scratch", "calibrate_models",
        "predict_contenders", "judge_contenders", "choose_model", "score_model", "render_report",
        "register_model",
    ),
    ROAD_KILLED,
)  # fmt: skip
"""Each node of a registered pipeline, without its task."""
