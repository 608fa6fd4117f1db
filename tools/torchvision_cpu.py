"""Let torchvision be imported beside a build of torch that it was not made for.

torchvision's compiled part loads only beside the torch build it was made for; without it,
importing torchvision fails when it attaches to operators that the compiled part would have
defined. This file, put into an environment with `--install`, tries the compiled part just before
torchvision is imported, and defines the two of them where it does not load. Analysis needs no more
than their schemas.
"""

from __future__ import annotations

import shutil
import sys
import sysconfig
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_kept = []


def _compiled_part_loads() -> bool:
    """Whether the operators are there, from torchvision's own library."""
    import torch

    spec = PathFinder.find_spec("torchvision")
    for folder in (spec and spec.submodule_search_locations) or ():
        for suffix in EXTENSION_SUFFIXES:
            for library in Path(folder).glob(f"_C*{suffix}"):
                try:
                    torch.ops.load_library(str(library))
                except OSError:
                    continue
    return hasattr(torch.ops.torchvision, "nms")


class _BeforeTorchvision(MetaPathFinder):
    """Finds nothing; sees that torchvision is about to be imported."""

    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            if _compiled_part_loads():
                return
            library = torch.library.Library("torchvision", "FRAGMENT")
            _kept.append(library)
            for schema in _SCHEMAS:
                if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
                    library.define(schema)
        return


def install() -> None:
    """Copy this file into the running environment and import it at every start."""
    folder = Path(sysconfig.get_paths()["purelib"])
    shutil.copy(__file__, folder / "_torchvision_cpu.py")
    (folder / "_torchvision_cpu.pth").write_text("import _torchvision_cpu\n")


if __name__ == "__main__":
    if sys.argv[1:] != ["--install"]:
        sys.exit("usage: python torchvision_cpu.py --install")
    install()
else:
    sys.meta_path.insert(0, _BeforeTorchvision())
