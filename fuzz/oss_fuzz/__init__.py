"""What OSS-Fuzz and ClusterFuzzLite expect: an executable for each target, and a project's files.

`entry` is what each executable is made of; `Dockerfile`, `build.sh` and `project.yaml` are the
folder `projects/raft-durability` of google/oss-fuzz. docs/fuzzing.md says how they are used.
"""
