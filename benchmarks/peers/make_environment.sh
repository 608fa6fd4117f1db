#!/usr/bin/env bash
# An environment with the peers that inspect_speed.py asks: make_environment.sh FOLDER
set -euo pipefail
folder=${1:?usage: make_environment.sh FOLDER}
python3.11 -m venv "$folder"
pip() { "$folder/bin/python" -m pip install --quiet "$@"; }
pip torch==2.13.0 numpy pillow matplotlib tqdm "attrs>=21.2,<22" "graphviz>=0.19.1,<0.20"
pip --no-deps torchvision==0.28.0 torchscan==0.2.0 receptivefield==0.5.0
pip scipy z3-solver opentelemetry-api colorama
pip --no-deps torchstream-lib==1.0.2
pip --no-deps --ignore-requires-python rfa-toolbox==1.7.0
