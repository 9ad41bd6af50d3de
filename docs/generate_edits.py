"""A hook of mkdocs: the page of edits is made from the models that the command line reads.

python docs/generate_edits.py     # prints the page
"""

from __future__ import annotations

import inspect

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from napari_pytc.proofreading.edits.base import EditModel, variants

_INTRODUCTION = """\
# Edits as JSON

What `napari-pytc proofread PROJECT edits.json` takes, in a list, and what [the journal](design/journal.md) keeps of
each edit. Every edit has a `kind` and the fields below; places are voxels `[z, y, x]`.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of edits."""
    files.append(File.generated(config, "edits.md", content=edits_page()))
    return files


def edits_page() -> str:
    """The page in Markdown."""
    lines = [_INTRODUCTION]
    for kind, model in sorted(variants().items()):
        lines += [f"## {kind}", "", _about(model), "", "| field | | by default |", "|---|---|---|"]
        for name, field in model.model_fields.items():
            if name != "kind":
                default = "" if field.is_required() else f"`{field.get_default(call_default_factory=True)!r}`"
                lines.append(f"| `{name}` | {field.description} | {default} |")
        lines.append("")
    return "\n".join(lines)


def _about(model: type[EditModel]) -> str:
    """The model's docstring without the parts for programmers."""
    text = inspect.getdoc(model) or ""
    return text.split("\n\nParameters\n")[0].split("\n\nRaises\n")[0].replace("\n\n", "\n").strip()


if __name__ == "__main__":
    print(edits_page())
