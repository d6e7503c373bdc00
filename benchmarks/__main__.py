"""``python -m benchmarks``: runs every benchmark and prints one line each."""

from benchmarks import attribution, corpus_build, editing, masks, scoring, tracing, training

if __name__ == "__main__":
    for benchmark in (corpus_build, scoring, training, masks, attribution, tracing, editing):
        for line in benchmark.run():
            print(line, flush=True)
