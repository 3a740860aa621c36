#!/bin/bash -eu
# Runs inside of the base-builder-python image: one executable for each target in $OUT, with its
# seeds and its dictionary beside it. The targets are those of fuzz/targets/, by their files.

cd "$SRC/raft-durability"
pip3 install .

for path in fuzz/targets/[a-z]*.py; do
    target=$(basename "$path" .py)
    name=fuzz_$target
    entry=$WORK/$name.py
    sed "s/^TARGET = .*/TARGET = \"$target\"/" fuzz/oss_fuzz/entry.py >"$entry"
    # What is imported by name is invisible to pyinstaller.
    compile_python_fuzzer "$entry" \
        --collect-submodules raft --collect-submodules durability --collect-submodules fuzz \
        --collect-data fuzz --collect-data durability
    find "corpora/$target" -type f -exec zip --quiet --junk-paths "$OUT/${name}_seed_corpus.zip" {} +
    if [ -f "fuzz/dictionaries/$target.dict" ]; then
        cp "fuzz/dictionaries/$target.dict" "$OUT/$name.dict"
    fi
    printf '[libfuzzer]\nmax_len = 1024\ntimeout = 25\n' >"$OUT/$name.options"
done
