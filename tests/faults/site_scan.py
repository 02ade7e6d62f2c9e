"""Where the source of graft changes files, read from its syntax."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
CHANGES = {
    "atomic_file", "atomic_folder", "replaced",
    "write_text", "write_bytes", "write_image", "touch", "mkdir", "makedirs", "mkdtemp", "mkstemp",
    "rename", "unlink", "rmtree", "truncate", "ftruncate", "symlink_to", "hardlink_to",
    "copyfile", "copy2", "copytree", "reflink", "extract", "extractall",
    "to_parquet", "to_csv", "tofile", "savez", "save_file", "save", "imwrite",
    "log_artifact", "log_artifacts", "log_dict", "log_text", "log_model",
}  # fmt: skip
"""Names of functions and methods that do."""
FLAGS = {"O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND"}


def write_sites(source: Path = SOURCE) -> dict[str, list[int]]:
    """``module:function`` of each function that changes files, with the lines where it does."""
    found: dict[str, list[int]] = {}
    for file in sorted(source.rglob("*.py")):
        module = ".".join(file.relative_to(source).with_suffix("").parts)
        for function, line in _changes(ast.parse(file.read_text(encoding="utf-8")), ""):
            found.setdefault(f"{module.removesuffix('.__init__')}:{function}", []).append(line)
    return found


def _changes(node: ast.AST, function: str) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        inner = function
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            inner = f"{function}.{child.name}".lstrip(".")
        elif isinstance(child, ast.Lambda):
            inner = f"{function}.<lambda>".lstrip(".")
        if isinstance(child, ast.Call) and _is_change(child):
            yield function, child.lineno
        yield from _changes(child, inner)


def _is_change(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    plain = [each.value for each in call.args if isinstance(each, ast.Constant)]
    modes = [*plain, *(k.value.value for k in call.keywords if isinstance(k.value, ast.Constant))]
    if name == "open":
        named = {each.attr for each in ast.walk(call) if isinstance(each, ast.Attribute)}
        writes = (isinstance(m, str) and len(m) < 4 and set(m) & set("wax+") for m in modes)
        return bool(FLAGS & named) or any(writes)
    if name == "replace":  # a path's has one argument, a text's has two
        return isinstance(call.func, ast.Attribute) and len(call.args) == 1 and not call.keywords
    renames_a_column = name == "rename" and bool(plain or not call.args)
    return name in CHANGES and not renames_a_column
