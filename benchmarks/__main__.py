"""``python -m benchmarks``: runs every benchmark and prints one line each."""

from benchmarks import corpus_build, masks, scoring, training

if __name__ == "__main__":
    for benchmark in (corpus_build, scoring, training, masks):
        for line in benchmark.run():
            print(line, flush=True)
