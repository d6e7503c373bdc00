"""``python -m benchmarks``: runs every benchmark and prints one line each."""

from benchmarks import corpus_build, scoring, training

if __name__ == "__main__":
    for benchmark in (corpus_build, scoring, training):
        for line in benchmark.run():
            print(line, flush=True)
