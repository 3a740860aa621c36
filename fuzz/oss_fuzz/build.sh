#!/bin/bash -eu
# One build for both: what ClusterFuzzLite runs on a pull request is what OSS-Fuzz runs for ever.
exec bash "$SRC/raft-durability/.clusterfuzzlite/build.sh"
