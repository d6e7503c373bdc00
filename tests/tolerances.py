"""Every tolerance of the tests, each with its reason. Exact comparisons need none."""

# A document's logits in a packed row against the document alone: float32, other matrix shapes and
# hence another order of summation. Measured below 1e-6 on logits of order 1; leaks exceed 1e-2.
PACKED_LOGITS = 1e-5

# Peak memory of constructing a world of a million facts and reading some: names are pools of words,
# facts are computed (measured 1 MB). Holding the facts would take some 300 MB.
MILLION_FACTS_BYTES = 50 * 2**20

# Peak memory per further document while a stream is consumed. Times and owners of all documents are
# held as arrays (20 bytes; 45 while they are sorted); one held text would take some 250 bytes.
STREAM_BYTES_PER_DOCUMENT = 80

# Largest deviation of a class's share from its expectation, over thousands of draws, in standard
# errors. Seeds are fixed, so this decides once; 5 keeps honest generators inside.
STANDARD_ERRORS = 5.0

# Percentile bootstrap of 10,000 draws against the normal interval, in units of the interval's
# half-width: quantile noise is about 2 %, the skew of n=400 uniform values less.
BOOTSTRAP_RELATIVE = 0.08

# Plan times are stored as float32.
FLOAT32_TIME = 1e-6
